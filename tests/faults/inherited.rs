//! What a run inherits from its parent process, and its handler and check from the run: signals, umask, limits, working
//! directory, environment, descriptors, terminal.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::{self, Place, Ran, Run, lines, wait_for};

/// The run, started by this script of a shell as `"$@"`.
fn by(script: &str, run: Run) -> Run {
    let mut sh = Command::new("sh");
    sh.args(["-c", script, "sh"]).arg(run.command.get_program()).args(run.command.get_args());
    for (name, value) in run.command.get_envs() {
        match value {
            Some(value) => sh.env(name, value),
            None => sh.env_remove(name),
        };
    }
    let mut by = Run::new("kvx", "");
    by.command = sh;
    by
}

/// A script that says what it has inherited.
const SAYS: &str = "sed -n '/^Sig[BIC]/p' /proc/self/status; echo umask $(umask) files $(ulimit -n); \
                    echo fds $(ls /proc/self/fd); readlink /proc/self/fd/0; pwd";

#[test]
fn a_program_starts_with_default_signals_and_no_descriptor_of_ours() {
    let place = Place::new();
    place.upload(lines(20));
    let before = "umask 027; ulimit -n 333; exec env --default-signal \"$@\" </dev/null";
    // Without any kvx: signals that no program can set to their default, descriptors of whoever runs the tests.
    let mut alone = Run::new("kvx", "");
    alone.command = Command::new("sh");
    alone = by(before, alone.args(["-c", SAYS]));
    alone.command.current_dir("/");
    let expected = alone.run().expect(0).out().to_owned();
    assert!(expected.contains("umask 0027 files 333") && expected.ends_with("/dev/null\n/\n"), "{expected}");
    let quoted = shell_words::quote(SAYS);
    let run = place.kvx_out().args(["--check", &format!("sh -c {quoted} sh {{}}"), "-e", &format!("sh -c {quoted}")]);
    let ran = by(before, run).run().expect(0);
    for program in ["check", "handler"] {
        let said: String = expected.lines().map(|line| format!("{program}: {line}\n")).collect();
        assert!(ran.stderr.contains(&said), "not {said} but {}", ran.stderr);
    }
    // A renderer stays where it is, and reads what we would have read.
    let mut renders = by(before, place.kvx_in().args(["-l", "0", "--", "sh", "-c", SAYS]));
    renders.command.current_dir(place.path());
    renders.run().expect(0);
    let said = expected.replace("/dev/null\n/\n", &format!("/dev/null\n{}\n", place.path().display()));
    assert_eq!(String::from_utf8(place.document().unwrap()).unwrap(), said);
}

#[test]
fn variables_of_a_run_around_this_one_are_not_passed_on() {
    let place = Place::new();
    place.upload(lines(20));
    let names = ["KVX_KEY", "KVX_FILE", "KVX_CHECKSUM", "KVX_STAGED"];
    let others = |run: Run| names.iter().fold(run, |run, name| run.env(name, "another"));
    let says = "sh -c 'env | grep ^KVX_ | sort'";
    let run = others(place.kvx_out().args(["--check", &format!("{says} sh {{}}"), "-e", says]));
    let ran = run.run().expect(0);
    assert!(!ran.stderr.contains("another"), "{}", ran.stderr);
    let staged = |program: &str| ran.stderr.contains(&format!("{program}: KVX_STAGED=/"));
    assert!(staged("check") && !staged("handler"), "{}", ran.stderr);
    // kvexpress's commands have none.
    let kvexpress = place.path().join("kvexpress");
    std::os::unix::fs::symlink(common::run::binary("kvx"), &kvexpress).unwrap();
    let file = place.write("new", lines(30));
    let run =
        Run::new(kvexpress.to_str().unwrap(), "").args(["in", "-k", &place.key, "-s", &place.consul.address, "-f"]);
    let ran = others(run.arg(file).args(["-e", "env"])).run().expect(0);
    assert!(ran.stderr.contains("PATH=") && !ran.stderr.contains("another"), "{}", ran.stderr);
}

/// `make reload` in a directory of a local user, from where she has started it through sudo.
#[test]
fn no_file_of_the_working_directory_is_found() {
    let place = Place::new();
    place.upload(lines(20));
    let theirs = place.path().join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    std::fs::write(theirs.join("script"), format!("echo pwned >> {}/runs", place.path().display())).unwrap();
    for run in [
        place.kvx_out().args(["-e", "sh script"]),
        place.kvx_out().args(["--", "sh", "script"]),
        place.kvx_out().args(["--", "sh", "-c", ". ./script"]),
    ] {
        let mut run = run;
        run.command.current_dir(&theirs);
        run.run().expect(1);
    }
    let mut checked = place.kvx_out().args(["-c", "600", "--check", "sh script {}"]);
    place.upload(lines(21));
    checked.command.current_dir(&theirs);
    checked.run().expect(65);
    assert_eq!((place.content(), place.runs().len()), (lines(20), 0));
}

#[test]
fn a_limit_of_file_sizes_is_an_error_and_harms_nothing() {
    let place = Place::new();
    place.upload(lines(20));
    let out = |more: &[&str]| place.kvx_out().args(more).args(["-e", &place.handler()]);
    out(&[]).run().expect(0);
    place.upload(lines(2000));
    for manner in [&[][..], &["--in-place"]] {
        let ran = by("ulimit -f 4; exec \"$@\"", out(manner)).run().expect(73);
        ran.says(&["File too large", "ulimit -f"]);
        assert_eq!((place.content(), place.names(), place.runs().len()), (lines(20), vec!["hosts".into()], 1));
    }
    // What is recorded, a marker, and our own lines are files, too.
    by("ulimit -f 0; exec \"$@\"", place.kvx_file("lock").args(["-r", "why"]))
        .run()
        .expect(73)
        .says(&["File too large", "it is locked in Consul only"]);
    assert!(!place.marker().exists());
    place.kvx_file("unlock").run().expect(0);
    let log = place.path().join("log");
    let to_a_log = format!("ulimit -f 0; exec \"$@\" 2>>{}", log.display());
    by(&to_a_log, place.kvx_out().args(["-l", "5000"])).run().expect(65).is_silent();
    by(&to_a_log, place.kvx_out().arg("--check")).run().expect(64).is_silent();
    by(
        &format!("ulimit -f 1; exec \"$@\" >{}", log.display()),
        Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f", "-"]),
    )
    .run()
    .expect(73)
    .says(&["File too large"]);
    assert_eq!((place.content(), place.runs().len()), (lines(20), 1));
    out(&[]).run().expect(0).says(&["2000 lines", "installed", "handler ran"]);
}

/// Whatever cannot be had: one line, a published status, and the old file or the new one.
fn ends_well(place: &Place, ran: &Ran, limit: &str) {
    let status = ran.status.code().unwrap_or_else(|| panic!("{limit}: {:?}, {}", ran.status, ran.stderr));
    assert!([0, 1, 65, 69, 73, 74, 75, 78].contains(&status), "{limit}: {status}, {}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{limit}: {}", ran.stderr);
    assert!(ran.stderr.lines().last().is_some_and(|line| line.contains(&place.key)), "{limit}: {}", ran.stderr);
    assert!([lines(20), lines(2000)].contains(&place.content()), "{limit}");
    assert!(ran.stderr.contains("installed") || status == 1 || place.content() == lines(20), "{limit}: {}", ran.stderr);
}

#[test]
fn few_descriptors_are_an_error_and_harm_nothing() {
    let place = Place::new();
    for limit in 4..14 {
        place.upload(lines(20));
        place.kvx_out().arg("-q").run().expect(0);
        place.upload(lines(2000));
        let out = place.kvx_out().args(["--timeout", "1s", "--check", "test -s {}", "-e", &place.handler()]);
        let script = format!("ulimit -n {limit}; exec \"$@\"");
        ends_well(&place, &by(&script, out).run(), &script);
    }
}

/// A terminal with a shell that has job control.
struct Terminal(Child);

impl Terminal {
    fn new() -> Terminal {
        let mut script = Command::new("script");
        script.args(["-qec", "bash --norc --noprofile -i", "/dev/null"]).env("PATH", common::run::path());
        Terminal(script.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn types(&mut self, keys: &str) {
        self.0.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The command line of a run, in quotes. Its process id is in `pid` then, and its status in `ended` once it has ended, or
/// the shell believes so.
fn typed(place: &Place, run: &Run) -> String {
    let words = std::iter::once(run.command.get_program()).chain(run.command.get_args());
    let words = shell_words::join(words.map(|word| word.to_str().unwrap()));
    let dir = place.path().display();
    format!(
        "sh -c 'echo $$ >{dir}/pid; exec \"$@\"' sh {words}; echo $? >{dir}/ended.new; mv {dir}/ended.new {dir}/ended\n"
    )
}

fn read(place: &Place, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(place.path().join(name)).ok()?;
    text.ends_with('\n').then(|| text.trim().to_owned())
}

/// What the kernel says of a process behind this name.
fn status(pid: &str, name: &str) -> Option<String> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid).join("status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(|line| line.trim().to_owned())
}

#[test]
fn ctrl_z_does_not_stop_a_run_that_is_at_its_handler() {
    let place = Place::new();
    place.upload(lines(20));
    let script = format!("echo $$ >{}/handler; exec sleep 600", place.path().display());
    let run = place.kvx_out().args(["-s", &place.consul.address, "--handler-timeout", "4s", "--", "sh", "-c", &script]);
    let mut terminal = Terminal::new();
    terminal.types(&typed(&place, &run));
    let handler = wait_for("the handler", 20, || read(&place, "handler"));
    terminal.types("\x1a");
    wait_for("the handler to be stopped", 20, || status(&handler, "State:").unwrap().starts_with('T').then_some(()));
    assert_eq!(wait_for("the run's end", 30, || read(&place, "ended")), "1");
    place.kvx_out().args(["-e", "true"]).run().expect(0).says(&["pending handler ran"]);
}

#[test]
fn ctrl_z_does_not_stop_a_run_that_waits_for_consul() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    let run = place.kvx_out().args(["-s", "127.0.0.1:1", "--timeout", "4s", "-e", "true"]);
    let mut terminal = Terminal::new();
    terminal.types(&typed(&place, &run));
    let pid = wait_for("the run", 20, || read(&place, "pid"));
    let state_file = std::fs::File::open(place.state_file()).unwrap();
    wait_for("its lock", 20, || {
        let is_free = state_file.try_lock_shared().is_ok();
        state_file.unlock().unwrap();
        (!is_free).then_some(())
    });
    terminal.types("\x1a");
    // SIGTSTP waits, or has done its work.
    wait_for("the signal", 20, || {
        let pending = u64::from_str_radix(&status(&pid, "ShdPnd:")?, 16).unwrap();
        (pending & (1 << 19) != 0 || status(&pid, "State:")?.starts_with('T')).then_some(())
    });
    assert_eq!(wait_for("the run's end", 30, || read(&place, "ended")), "69");
    place.kvx_out().args(["-e", "true"]).run().expect(0).is_silent();
}

/// A terminal says that it can be written to as long as it has room for a byte.
#[test]
fn a_terminal_without_a_reader_does_not_stop_a_run_that_writes_to_it() {
    let place = Place::new();
    place.upload(lines(20));
    let dir = place.path().display();
    let handler = format!("touch {dir}/handler; until test -e {dir}/go; do sleep 0.1; done; seq 100000");
    let run = place.kvx_out().args(["-s", &place.consul.address, "--", "sh", "-c", &handler]);
    let mut terminal = Terminal::new();
    terminal.types(&typed(&place, &run));
    wait_for("the handler", 20, || place.path().join("handler").exists().then_some(()));
    let reader = nix::unistd::Pid::from_raw(terminal.0.id() as i32);
    nix::sys::signal::kill(reader, nix::sys::signal::Signal::SIGSTOP).unwrap();
    place.write("go", "");
    assert_eq!(wait_for("the run's end", 30, || read(&place, "ended")), "0");
}

/// With `stty tostop` a terminal stops whoever writes to it in the background.
#[test]
fn a_terminal_does_not_stop_a_run_in_the_background() {
    let place = Place::new();
    place.upload(lines(20));
    let run = place.kvx_out().args(["-v", "-s", "127.0.0.1:1", "--timeout", "1s"]);
    let mut terminal = Terminal::new();
    let line = typed(&place, &run);
    terminal.types(&format!("stty tostop; {{ {}; }} &\n", line.trim_end()));
    assert_eq!(wait_for("the run's end", 20, || read(&place, "ended")), "69");
    place.kvx_out().run().expect(0).says(&["installed"]);
}

#[test]
fn without_a_working_directory_a_relative_path_is_none_of_the_root_directory() {
    let place = Place::new();
    place.upload(lines(20));
    let gone = place.path().join("gone");
    // A name that is that of an existing directory, if it is taken as relative to `/`.
    let relative = place.path().strip_prefix("/").unwrap();
    let before = format!("mkdir {0}; cd {0}; rmdir {0}; exec \"$@\"", gone.display());
    let state = place.path().join("state");
    let kvx = |command: &str, options: &[&str]| {
        let run = place.kvx(command).args(options).arg("--state-dir").arg(&state).arg("-f");
        by(&before, run.arg(relative.join("out/hosts"))).run()
    };
    let says = ["cannot be made absolute: the working directory: ", "; give the whole path"];
    kvx("out", &["-k", &place.key]).expect(73).says(&says);
    kvx("out", &["-k", &place.key, "--mkdir"]).expect(73).says(&says);
    for (command, options) in [("lock", &["-r", "why"][..]), ("unlock", &[]), ("status", &[])] {
        kvx(command, options).expect(73).says(&says);
    }
    assert!(place.names().is_empty() && !state.exists());
    place.kvx_out().run().expect(0);
    kvx("clean", &["--remove-file"]).expect(73).says(&says);
    assert_eq!(place.names(), ["hosts"]);
    place.state();
    let run = place.kvx("out").args(["-k", &place.key, "--state-dir"]).arg(relative.join("state"));
    by(&before, run.arg("-f").arg(place.path().join("out/x"))).run().expect(73).says(&says);
    // What is named by its whole path needs none.
    by(&before, place.kvx_out()).run().expect(0).is_silent();
}

#[test]
fn a_state_directory_without_a_name_is_none() {
    let place = Place::new();
    place.upload(lines(20));
    let run = |state: &[&str]| {
        let mut run = place.kvx("out").args(["-k", &place.key, "-f"]).arg(place.file()).args(state);
        run.command.current_dir(place.path());
        run
    };
    run(&[]).env("STATE_DIRECTORY", ":/var/lib/other").run().expect(78).says(&["STATE_DIRECTORY names no directory"]);
    run(&["--state-dir", ""]).run().expect(78).says(&["--state-dir names no directory"]);
    assert!(place.names().is_empty());
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "only out");
}
