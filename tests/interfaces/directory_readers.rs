//! Programs that read all files of a directory ignore the temporary file in which a new document is prepared and
//! checked; and a check sees the file under its real name.

use std::fs;
use std::process::Command;

use crate::common::tools::has;
use crate::common::{self, Place};

/// A program that reads all of a directory, `$d`: as a script that prints "bad" if it reads a bad file there, or ends with
/// another status than 0.
struct Reader {
    program: &'static str,
    /// A file that it takes, and one that it would stumble over.
    good: &'static str,
    bad: &'static str,
    name: &'static str,
    script: &'static str,
}

const READERS: [Reader; 5] = [
    Reader {
        program: "dnsmasq=dnsmasq-base",
        good: "address=/good.example/127.0.0.1\n",
        bad: "no such option\n",
        name: "site.conf",
        script: "dnsmasq --test --conf-file=/dev/null --conf-dir=$d",
    },
    Reader {
        program: "nginx=nginx-light",
        good: "map $uri $good { default 1; }\n",
        bad: "no such directive;\n",
        name: "site",
        script: "printf 'pid %s/pid; error_log stderr; events { }\\nhttp { access_log off; include %s/*; }\\n' $d.t $d >$d.conf; \
                 mkdir -p $d.t; nginx -t -c $d.conf",
    },
    Reader {
        program: "logrotate",
        good: "/nowhere/*.log {\n missingok\n}\n",
        bad: "no such directive {\n",
        name: "site",
        script: "echo include $d >$d.conf; logrotate -d -s $d.state $d.conf 2>&1 | tee $d.log; ! grep -i error $d.log",
    },
    Reader {
        program: "run-parts=debianutils",
        good: "#!/bin/sh\n",
        bad: "#!/bin/sh\necho bad\n",
        name: "site",
        script: "run-parts --exit-on-error $d",
    },
    Reader {
        program: "visudo=sudo",
        good: "daemon ALL=(ALL) NOPASSWD: /bin/true\n",
        bad: "no such thing\n",
        name: "site",
        script: "echo @includedir $d >$d.conf; chmod 440 $d.conf; visudo -cf $d.conf",
    },
];

#[test]
fn whatever_reads_all_files_of_a_directory_passes_over_ours() {
    for Reader { program, good, bad, name, script: reads } in READERS {
        if !has(program) {
            continue;
        }
        let place = Place::new();
        let directory = place.path().join("d");
        fs::create_dir(&directory).unwrap();
        let run = |mode: &str| {
            let run =
                common::Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-l", "1", "-c", mode]);
            run.arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(directory.join(name))
        };
        let mode = if program.starts_with("visudo") { "440" } else { "755" };
        place.upload(good);
        run(mode).run().expect(0);
        place.upload(bad);
        // While the copy is there, and the document is a bad one.
        let script = format!(
            "d={}; test \"$1\" != $d/{name} && grep -qF \"$2\" \"$1\" || exit 9; {{ {reads}; }}",
            directory.display()
        );
        let check = format!("sh -c {} - {{}} {}", shell_words::quote(&script), shell_words::quote(bad.trim_end()));
        let ran = run(mode).args(["--check", &check]).run().expect(0);
        assert!(!ran.stderr.contains("check: bad"), "{program}: {}", ran.stderr);
        // Now that the bad one is in its place, it stumbles.
        let stumbles = Command::new("sh").args(["-c", &format!("d={}; {}", directory.display(), reads)]).output();
        let stumbles = stumbles.unwrap();
        assert!(!stumbles.status.success() || stumbles.stdout.ends_with(b"bad\n"), "{program}: {stumbles:?}");
    }
}

#[test]
fn a_check_that_asks_for_the_names_suffix_approves() {
    let consul = std::env::var("CONSUL").unwrap_or("consul".into());
    let unit = "[Service]\nExecStart=/bin/true\n";
    let cases = [
        ("site.json", "{\"log_level\": \"warn\", \"data_dir\": \"/nowhere\"}\n", format!("{consul} validate {{}}")),
        ("site.hcl", "log_level = \"warn\"\ndata_dir = \"/nowhere\"\n", format!("{consul} validate {{}}")),
        ("site.service", unit, "systemd-analyze verify --man=no {}".to_owned()),
    ];
    for (name, document, check) in cases {
        if check.starts_with("systemd") && !has("systemd-analyze=systemd") {
            continue;
        }
        let place = Place::new();
        place.upload(document);
        let run = common::Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-l", "1", "-c", "644"]);
        let run =
            run.arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(place.path().join("out").join(name));
        run.args(["--check", &check]).run().expect(0);
        assert_eq!(place.names(), [name]);
    }
}
