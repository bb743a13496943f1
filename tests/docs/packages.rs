//! What is installed, packaged and released is complete, works, and can be removed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::Consul;
use crate::common::page::project;
use crate::common::run::{self, Ran};
use crate::common::tools::nothing_is_installed;
use serde_json::Value;

#[test]
fn make_install_puts_all_where_it_is_looked_for_and_uninstall_takes_it_away() {
    let root = tempfile::tempdir().unwrap();
    make(project(), &["install"], root.path()).expect(0);
    works(&root.path().join("usr/local"));
    make(project(), &["uninstall"], root.path()).expect(0);
    assert_eq!(files(root.path()), [""; 0]);
}

#[test]
fn make_install_builds_nothing() {
    let root = tempfile::tempdir().unwrap();
    let ran = make(project(), &["install", "BUILT=/nowhere"], root.path()).expect(2);
    assert!(ran.stderr.contains("no /nowhere/kvx: run `make` first, as yourself\n"), "{}", ran.stderr);
    assert_eq!(files(root.path()), [""; 0]);
}

#[test]
fn the_tarball_installs_itself_and_says_what_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    packaging("dist", dir.path()).expect(0);
    shell(dir.path(), "sha256sum --check --strict SHA256SUMS && tar -xzf kvx-*.tar.gz && rm *.tar.gz && mv kvx-*/ kvx")
        .expect(0);
    let (kvx, root) = (dir.path().join("kvx"), dir.path().join("root"));
    make(&kvx, &["install", "BUILT=."], &root).expect(0);
    works(&root.join("usr/local"));

    let sbom: Value = serde_json::from_slice(&std::fs::read(kvx.join("sbom.cdx.json")).unwrap()).unwrap();
    assert_eq!((&sbom["bomFormat"], &sbom["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    assert_eq!(sbom["metadata"]["component"]["version"], env!("CARGO_PKG_VERSION"));
    let locked = locked();
    let notices = std::fs::read_to_string(kvx.join("THIRD-PARTY.txt")).unwrap();
    let listed: Vec<&str> = sbom["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| {
            let name = part["name"].as_str().unwrap();
            if !matches!(name, "std" | "libgcc") {
                let id = (name.to_owned(), part["version"].as_str().unwrap().to_owned());
                assert_eq!(part["hashes"][0]["content"].as_str(), locked.get(&id).map(String::as_str), "{name}");
                assert!(notices.contains(&format!("\n{name} {}: ", id.1)), "a text of {name}'s");
            }
            name
        })
        .collect();
    for linked in ["std", "libgcc", "ureq", "ring", "serde_json", "libc"] {
        assert!(listed.contains(&linked), "{linked}");
    }
    for not_linked in ["kvx", "proptest", "rcgen", "syn", "argh_derive", "cc", "windows-sys"] {
        assert!(!listed.contains(&not_linked), "{not_linked}");
    }
    for text in ["Copyright 2015-2025 Brian Smith.", "Copyright notices for The Rust Standard Library"] {
        assert!(notices.contains(text), "{text}");
    }
}

/// What is checked there is said in tests/node/story.sh.
#[test]
fn the_package_is_installed_on_a_node_whose_systemd_runs_its_units() {
    let there = Command::new(project().join("packaging/get-cargo")).args(["cargo-deb", "--if-there"]).output().unwrap();
    if !there.status.success() || !Path::new("/usr/bin/lintian").exists() {
        return eprintln!("no cargo-deb or no lintian here: the package is not tested");
    }
    let dir = tempfile::tempdir().unwrap();
    packaging("deb", dir.path()).expect(0);
    let consul = Consul::dev("");
    std::fs::write(dir.path().join("address"), &consul.address).unwrap();
    std::fs::copy(project().join("tests/node/story.sh"), dir.path().join("script")).unwrap();
    shell(dir.path(), "mv kvx_*.deb kvx.deb").expect(0);
    let needs = shell(dir.path(), "dpkg-deb --field kvx.deb Depends").expect(0).out().to_owned();
    assert!(needs.starts_with("libc6 (>= ") && !needs.contains(','), "glibc, and nothing else: {needs}");
    shell(project(), &format!("cp -R examples {}", dir.path().display())).expect(0);

    let mut node = Command::new(project().join("tests/tools/node"));
    // Its files are this machine's, under an overlay: they must not change meanwhile.
    let as_it_is = nothing_is_installed();
    let ran = Ran::from(node.arg(dir.path()).stdin(Stdio::null()).output().unwrap());
    drop(as_it_is);
    if ran.status.code() == Some(77) {
        return eprintln!("{}the package is made, but not installed", ran.stderr);
    }
    let said = std::fs::read_to_string(dir.path().join("said")).unwrap_or_default();
    assert!(ran.status.success() && said.ends_with("== done\n"), "{said}\n{ran:?}");
}

/// Without cargo, as it is for root; and what it installs is what is under test.
fn make(dir: &Path, arguments: &[&str], root: &Path) -> Ran {
    let mut make = Command::new("make");
    make.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("BUILT", built()).stdin(Stdio::null());
    make.current_dir(dir).arg("-s").args(arguments).arg(format!("DESTDIR={}", root.display()));
    Ran::from(make.output().unwrap())
}

/// A script of ours that writes into a directory.
fn packaging(name: &str, into: &Path) -> Ran {
    let mut script = Command::new(project().join("packaging").join(name));
    script.env("BUILT", built()).env("PACKAGES", into).env("DEB_OPTIONS", "--fast").stdin(Stdio::null());
    Ran::from(script.output().unwrap())
}

fn shell(dir: &Path, command: &str) -> Ran {
    Ran::from(Command::new("sh").args(["-ec", command]).current_dir(dir).output().unwrap())
}

fn built() -> PathBuf {
    run::binary("kvx").parent().unwrap().to_owned()
}

/// All that is installed is there, under a prefix.
#[track_caller]
fn works(prefix: &Path) {
    for program in ["kvx", "kvx-in", "kvx-out"] {
        let ran =
            Ran::from(Command::new(prefix.join("bin").join(program)).arg("--version").output().unwrap()).expect(0);
        assert_eq!(ran.out(), format!("{program} {}\n", env!("CARGO_PKG_VERSION")));
        for completion in
            [format!("bash-completion/completions/{program}"), format!("fish/vendor_completions.d/{program}.fish")]
        {
            assert!(
                std::fs::read_to_string(prefix.join("share").join(&completion)).unwrap().contains("kvx"),
                "{completion}"
            );
        }
    }
    let mut expected = Vec::new();
    for (from, to) in [("docs", "share/doc/kvx/docs"), ("examples", "share/doc/kvx/examples")] {
        expected.extend(files(&project().join(from)).into_iter().map(|name| format!("{to}/{name}")));
    }
    expected.extend(["in", "out"].map(|side| format!("lib/systemd/system/kvx-{side}@.timer")));
    expected.extend(["kvx-in.1", "kvx-out.1", "kvx.1"].map(|page| format!("share/man/man1/{page}")));
    expected
        .extend(["man/man7/kvx.7", "zsh/site-functions/_kvx", "doc/kvx/README.md"].map(|name| format!("share/{name}")));
    let installed = files(prefix);
    for name in expected {
        assert!(installed.contains(&name), "{name} is not in {installed:?}");
    }
    let script = std::fs::metadata(prefix.join("share/doc/kvx/examples/kvx-hosts")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&script.permissions()) & 0o777, 0o755);
}

/// The paths of all that is in a directory but directories, sorted.
fn files(dir: &Path) -> Vec<String> {
    let ran = shell(dir, "find . ! -type d -printf '%P\\n' | sort").expect(0);
    ran.out().lines().map(str::to_owned).collect()
}

/// The checksums that Cargo.lock has.
fn locked() -> BTreeMap<(String, String), String> {
    let lock = std::fs::read_to_string(project().join("Cargo.lock")).unwrap();
    let value = |package: &str, name: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(&format!("{name} = \"")))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let packages = lock.split("[[package]]").filter_map(|package| {
        Some(((value(package, "name")?, value(package, "version")?), value(package, "checksum")?))
    });
    packages.collect()
}
