//! Promise 2: data and checksum change together; promise 4: nothing changed means nothing done. The story of `kvx-in`.

mod common;

use common::{Place, lines};

#[test]
fn uploads_a_document_with_its_checksum_and_says_what_it_replaced() {
    let place = Place::new();
    place.kvx_in().stdin(lines(600)).run().expect(0).says(&[&place.key, ": 600 lines, 2.2 KB, 4a0a1fde… uploaded, the first of this key"]);
    place.assert_pair_is_whole();
    place.kvx_in().stdin(lines(601)).run().expect(0).says(&["601 lines", "uploaded, in place of 4a0a1fde…"]);
    place.assert_pair_is_whole();
}
