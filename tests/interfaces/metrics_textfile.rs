//! Metrics for Prometheus (`--metrics-textfile`): how the last run ended, in a format that node_exporter and promtool
//! accept.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::metrics::{textfiles, value};
use crate::common::dogstatsd::Daemon;
use crate::common::tools::path_from;
use crate::common::{Consul, Place, Run, lines, wait_for};

#[test]
fn a_textfile_says_how_the_last_run_went_and_when_the_last_good_one_was() {
    let place = Place::new();
    let (dir, out) = (place.path().join("textfiles"), |more: &[&str]| {
        let dir = place.path().join("textfiles");
        // Whatever the umask: the collector is another user.
        let mut run = place.kvx_out().arg("--metrics-textfile").arg(dir).args(more);
        let mut sh = Command::new("sh");
        sh.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(run.command.get_program()).args(run.command.get_args());
        sh.env("CONSUL_HTTP_ADDR", &place.consul.address);
        run.command = sh;
        run.run()
    });
    std::fs::create_dir(&dir).unwrap();
    let read = |series: &str| value(&dir, series);
    let result = |word: &str| {
        let text = std::fs::read_to_string(&textfiles(&dir)[0]).unwrap();
        assert_eq!(text.matches("kvx_last_run_result{").count(), 1);
        assert!(text.contains(&format!("result=\"{word}\"}} 1\n")), "{word} in {text}");
    };

    out(&[]).expect(66);
    result("failed");
    assert_eq!(read("kvx_last_run_exit_status").as_deref(), Some("66"));
    for unknown in ["kvx_last_success_timestamp_seconds", "kvx_document_lines", "kvx_handler_pending"] {
        assert_eq!(read(unknown), None);
    }

    place.upload(lines(20));
    let restored = place.path().join("restored");
    let handler = format!("test -e {}", restored.display());
    out(&["-e", &handler]).expect(1);
    result("handler_failed");
    assert_eq!(read("kvx_handler_pending").as_deref(), Some("1"));
    assert_eq!(read("kvx_document_lines").as_deref(), Some("20"));
    assert_eq!(read("kvx_last_success_timestamp_seconds"), None);

    // What a run cannot know stays as it was.
    out(&["-s", "127.0.0.1:1", "--timeout", "100ms"]).expect(69);
    result("failed");
    assert_eq!(read("kvx_handler_pending").as_deref(), Some("1"));
    assert_eq!(read("kvx_document_bytes").as_deref(), Some("51"));

    // Another watch's handler, or none at all: that of the first is pending all the same.
    for (more, came_to) in [(&["-e", "true"][..], "reloaded"), (&["-e", "true"], "unchanged"), (&[], "unchanged")] {
        out(more).expect(0);
        result(came_to);
        assert_eq!(read("kvx_handler_pending").as_deref(), Some("1"));
    }

    std::fs::write(&restored, "").unwrap();
    out(&["-e", &handler]).expect(0);
    result("reloaded");
    assert_eq!(read("kvx_handler_pending").as_deref(), Some("0"));
    let success = read("kvx_last_success_timestamp_seconds").unwrap();
    let ago = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64() - success.parse::<f64>().unwrap();
    assert!((0.0..60.0).contains(&ago), "{ago}");
    assert_eq!(read("kvx_last_run_timestamp_seconds"), Some(success.clone()));

    place.consul.put(&place.kv("stop"), "bad DNS, anna");
    out(&["-l", "99"]).expect(0);
    result("stopped");
    place.consul.delete(&place.kv("stop"));
    let success = read("kvx_last_success_timestamp_seconds");
    out(&["-l", "99"]).expect(65);
    result("too_short");
    assert_eq!(read("kvx_last_success_timestamp_seconds"), success);

    let [file] = &textfiles(&dir)[..] else { panic!("not one file") };
    assert_eq!(std::fs::metadata(file).unwrap().mode() & 0o7777, 0o644);
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with(&format!("kvx-out-{}-", place.key)) && name.ends_with(".prom"), "{name}");
}

#[test]
fn a_textfile_that_cannot_be_written_is_a_warning() {
    let place = Place::new();
    let missing = place.path().join("missing");
    for (number, dir) in [missing.as_path(), Path::new("/proc"), Path::new("/dev/null")].into_iter().enumerate() {
        place.upload(lines(20 + number));
        let run = |more: &[&str]| place.kvx_out().arg("--metrics-textfile").arg(dir).args(more).run();
        let ran = run(&[]).expect(0);
        let [installed, warning] = ran.stderr.lines().collect::<Vec<_>>()[..] else { panic!("{}", ran.stderr) };
        assert!(installed.contains("installed"), "{installed}");
        assert!(warning.contains("metrics not written to") && warning.contains(dir.to_str().unwrap()), "{warning}");
        run(&["-q"]).expect(0).is_silent();
        assert_eq!(place.content(), lines(20 + number));
    }
    assert!(!missing.exists());
}

#[test]
fn a_run_without_a_key_writes_no_textfile_and_a_payload_that_names_one_does() {
    let place = Place::new();
    let run = || place.kvx_out_bare().arg("--metrics-textfile").arg(place.path());
    let written =
        || textfiles(place.path()).iter().filter(|path| path.extension().is_some_and(|e| e == "prom")).count();
    run().payload("null\n").run().expect(0);
    run().payload("{").run().expect(65);
    assert_eq!(written(), 0);
    // It is refused, but known.
    place.upload(lines(3));
    run().payload(place.payload("checksum")).run().expect(65);
    assert_eq!(written(), 1);
}

/// A program that is killed when the test is over.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// With keys and paths that try to leave their labels.
#[test]
fn node_exporter_and_promtool_take_what_is_written() {
    let place = Place::new();
    let dir = place.path().join("textfiles");
    std::fs::create_dir(&dir).unwrap();
    let hostile = format!("{}/\"}} 1\\\n# TYPE kvx gauge\nü", place.key);
    let file = place.path().join("out").join("a \"quoted\\ } 2é");
    let key = hostile.replace('\n', " "); // A key has no newline.
    place.consul.put_pair(&format!("kvexpress/{key}"), lines(20));
    let run = |program: &str, key: &str| {
        let run = Run::new(program, &place.consul.address);
        run.args(["-k", key]).arg("--metrics-textfile").arg(&dir)
    };
    let state = place.path().join("state");
    run("kvx-out", &key).arg("-f").arg(&file).arg("--state-dir").arg(&state).args(["-e", "false"]).run().expect(1);
    run("kvx-in", &key).stdin(lines(30)).run().expect(0);
    run("kvx-in", &place.key).stdin(lines(2)).run().expect(65);
    assert_eq!(textfiles(&dir).len(), 3);
    // Of a run that is under way, or was killed.
    std::fs::write(dir.join(".kvx-in-x-00000000.prom.1~"), "half of").unwrap();

    let ip = Consul::free_ip();
    let mut command = Command::new(path_from("get-prometheus", &["node-exporter"]));
    command.args(["--collector.disable-defaults", "--collector.textfile"]);
    command.arg(format!("--collector.textfile.directory={}", dir.display()));
    command.arg(format!("--web.listen-address={ip}:9100")).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = Server(command.spawn().unwrap());
    let scraped = wait_for("node_exporter", 20, || {
        ureq::get(format!("http://{ip}:9100/metrics")).call().ok()?.body_mut().read_to_string().ok()
    });
    let has = |line: &str| assert!(scraped.lines().any(|found| found == line), "no {line} in:\n{scraped}");
    has("node_textfile_scrape_error 0");
    let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let (key, file) = (escape(&key), escape(file.to_str().unwrap()));
    has(&format!("kvx_last_run_exit_status{{direction=\"out\",file=\"{file}\",key=\"{key}\",prefix=\"kvexpress\"}} 1"));
    has(&format!("kvx_handler_pending{{direction=\"out\",file=\"{file}\",key=\"{key}\",prefix=\"kvexpress\"}} 1"));
    has(&format!("kvx_document_lines{{direction=\"in\",file=\"\",key=\"{key}\",prefix=\"kvexpress\"}} 30"));
    let short =
        format!("{{direction=\"in\",file=\"\",key=\"{}\",prefix=\"kvexpress\",result=\"too_short\"}} 1", place.key);
    has(&format!("kvx_last_run_result{short}"));

    let promtool = path_from("get-prometheus", &["promtool"]);
    for file in textfiles(&dir).iter().filter(|file| file.extension().is_some_and(|extension| extension == "prom")) {
        let mut check = Command::new(&promtool);
        let output = check.args(["check", "metrics"]).stdin(std::fs::File::open(file).unwrap()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{}: {said}", file.display());
    }
}

#[test]
fn what_is_there_already_is_replaced_whatever_it_is() {
    let place = Place::new();
    let dir = place.path().join("textfiles");
    std::fs::create_dir(&dir).unwrap();
    let run = || place.kvx_in().arg("--metrics-textfile").arg(&dir).stdin(lines(20)).run().expect(0);
    run();
    let file = textfiles(&dir).remove(0);
    for odd in [&b"\xff\xfe"[..], b"kvx_handler_pending{} not a number\n", b""] {
        std::fs::write(&file, odd).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        run();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("result=\"unchanged\"} 1\n") && !text.contains("pending"), "{text}");
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o7777, 0o644);
    }
    assert_eq!(textfiles(&dir), [file]);
}

/// Run again somewhere else, it would be another directory.
#[test]
fn a_command_line_with_a_relative_directory_is_not_recorded() {
    for (directory, is_kept) in [("textfiles", false), ("absolute", true)] {
        let place = Place::new();
        std::fs::create_dir(place.path().join(directory)).unwrap();
        place.upload(lines(20));
        let mut run = place.kvx_out().arg("--metrics-textfile");
        run = if is_kept { run.arg(place.path().join(directory)) } else { run.arg(directory) };
        run.command.current_dir(place.path());
        run.run().expect(0);
        assert_eq!(textfiles(&place.path().join(directory)).len(), 1);
        assert_eq!(place.state()["command"].is_array(), is_kept, "{}", place.state());
    }
}

/// Who uploads one key under two prefixes: that one fails is not hidden by the other.
#[test]
fn each_prefix_has_its_own_textfile() {
    let place = Place::new();
    let dir = place.path().join("textfiles");
    std::fs::create_dir(&dir).unwrap();
    let run = |more: &[&str]| place.kvx_in().args(more).arg("--metrics-textfile").arg(&dir).stdin(lines(20)).run();
    run(&[]).expect(0);
    run(&["-p", "other", "-l", "99"]).expect(65);
    let mut texts: Vec<_> = textfiles(&dir).iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    texts.sort_by_key(|text| text.contains("prefix=\"other\""));
    assert_eq!(texts.len(), 2);
    for (text, prefix, result) in [(&texts[0], "kvexpress", "uploaded"), (&texts[1], "other", "too_short")] {
        let labels = format!("{{direction=\"in\",prefix=\"{prefix}\",key=\"{}\",file=\"\"", place.key);
        let line = format!("kvx_last_run_result{labels},result=\"{result}\"}} 1");
        assert!(text.lines().any(|found| found == line), "no {line} in {text}");
    }
}

#[test]
fn a_dry_run_counts_as_neither_success_nor_failure() {
    let (place, daemon) = (Place::new(), Daemon::udp());
    let directory = place.path().join("metrics");
    std::fs::create_dir(&directory).unwrap();
    for (lines_wanted, status) in [("1", 0), ("99", 65)] {
        let dry = place.kvx_in().args(["-n", "-l", lines_wanted, "--events", &daemon.option(), "--metrics-textfile"]);
        dry.arg(&directory).stdin(lines(20)).run().expect(status);
    }
    // What is received is of the run that follows alone.
    let wet = place.kvx_in().arg(daemon.option()).stdin(lines(20));
    wet.run().expect(0);
    assert_eq!(daemon.received().short()[0], "in:1|c complete");
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}
