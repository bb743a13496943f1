//! `kvx list`: prints the names of the keys, in order, and nothing else.

use crate::common::{NO_AGENT, Place};

#[test]
fn the_keys_are_listed_in_order_and_nothing_else() {
    let place = Place::new();
    let prefix = &place.key;
    let list = || place.kvx("list").args(["-p", prefix]).run().expect(0).is_silent().out().to_owned();
    assert_eq!(list(), "");
    let put = |path: &str| place.consul.put(&format!("{prefix}/{path}"), "x");
    for path in ["b/data", "b/checksum", "a/checksum", "a/b/c/data", "z/stop", "é/data", "with blank/data", "B/data"] {
        put(path);
    }
    for foreign in ["readme", "x/other", "y/data/more", "locks/abc/data", "checksum", "w/", "v/datax"] {
        put(foreign);
    }
    place.consul.put(&format!("{prefix}x/other/data"), "another prefix");
    assert_eq!(list(), "B\na\na/b/c\nb\nwith blank\nz\né\n");
    place.kvx("list").args(["-s", NO_AGENT, "--timeout", "100ms"]).run().expect(69).says(&["kvx list: ", NO_AGENT]);
}
