//! What happens while a run waits for another run of its file.

use std::io::{BufRead, BufReader, Write};

use crate::common::{Place, lines, wait_for};

#[test]
fn a_payload_that_has_waited_for_another_run_does_not_install_a_document_that_is_stopped_meanwhile() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    place.upload(lines(21));
    let (begun, go) = (place.path().join("begun"), place.path().join("go"));
    let handler = format!("sh -c 'touch {}; until test -e {}; do sleep 0.02; done'", begun.display(), go.display());
    let slow = place.kvx_out().args(["-e", &handler]).spawn();
    wait_for("the handler", 10, || begun.exists().then_some(()));
    // A bad upload. The watch has it in its payload, and waits for the run that has the file.
    place.upload(lines(22));
    let payload = place.folder();
    let mut late = place.kvx_out().args(["-v", "--payload"]).spawn();
    late.stdin.take().unwrap().write_all(&payload).unwrap();
    let mut said = BufReader::new(late.stderr.take().unwrap()).lines();
    let waits = said.next().unwrap().unwrap();
    assert!(waits.contains("another run is busy with it; waiting"), "{waits}");
    place.kvx("stop").args(["-k", &place.key, "-r", "bad upload"]).run().expect(0);
    std::fs::write(go, "").unwrap();
    let said = said.map(Result::unwrap).collect::<Vec<_>>().join("\n");
    assert!(said.contains("stopped, file left unchanged: bad upload"), "{said}");
    assert!(late.wait().unwrap().success() && slow.wait_with_output().unwrap().status.success());
    assert_eq!(place.content(), lines(21));
}
