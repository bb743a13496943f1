//! A program in one of the measured situations.

use std::path::{Path, PathBuf};

use super::common::{Consul, consul};
use super::handler::{Handler, program};
use super::job::Job;
use super::site::Site;
use super::{machine, progress};

pub struct Subject<'a> {
    pub name: &'static str,
    /// The program, unless it is a script.
    pub program: Option<PathBuf>,
    /// Whether the program is small enough for callgrind.
    pub is_small: bool,
    /// Whether the document in Consul changes before each run.
    changed: bool,
    site: Site<'a>,
    job: MakeJob,
}

/// Makes a run that uses this address of Consul.
type MakeJob = fn(&Site, &str) -> Job;

impl<'a> Subject<'a> {
    pub fn kvx_out_by_key(consul: &'a Consul, size: usize) -> Subject<'a> {
        let job = |site: &Site, address: &str| site.install(Handler::Key, address);
        Subject::new("kvx-out, key payload", "kvx-out", job, consul, size)
    }

    pub fn kvx_out_by_folder(consul: &'a Consul, size: usize) -> Subject<'a> {
        let job = |site: &Site, address: &str| site.install(Handler::Folder, address);
        Subject::new("kvx-out, keyprefix payload", "kvx-out", job, consul, size)
    }

    /// A watch that fires without a change.
    pub fn kvx_out_unchanged(consul: &'a Consul, size: usize) -> Subject<'a> {
        Subject { name: "kvx-out, unchanged", ..Subject::kvx_out_by_key(consul, size) }.unchanged()
    }

    /// Run by a timer: without a payload.
    pub fn kvx_out_asks(consul: &'a Consul, size: usize) -> Subject<'a> {
        let job = |site: &Site, address: &str| site.install(Handler::Key, address).by_itself();
        Subject::new("kvx-out, unchanged, by a timer", "kvx-out", job, consul, size).unchanged()
    }

    pub fn kvx_in(consul: &'a Consul, size: usize) -> Subject<'a> {
        let job = |site: &Site, address: &str| site.upload(site.other(), address);
        Subject::new("kvx-in", "kvx-in", job, consul, size)
    }

    pub fn kvx_in_unchanged(consul: &'a Consul, size: usize) -> Subject<'a> {
        let job = |site: &Site, address: &str| site.upload(site.published(), address);
        Subject::new("kvx-in, unchanged", "kvx-in", job, consul, size).unchanged()
    }

    pub fn floor(consul: &'a Consul, size: usize) -> Subject<'a> {
        let job = |site: &Site, address: &str| site.install(Handler::Floor, address);
        Subject::new("the floor", "floor", job, consul, size)
    }

    pub fn empty(consul: &'a Consul, size: usize) -> Subject<'a> {
        let job = |_: &Site, _: &str| Job::new(vec![program("empty").to_owned()]);
        Subject::new("an empty program", "empty", job, consul, size).unchanged()
    }

    pub fn script(consul: &'a Consul, size: usize) -> Option<Subject<'a>> {
        let job = |site: &Site, address: &str| site.install(Handler::Script, address);
        machine::find("curl").map(|_| Subject::others("curl and sha256sum", None, job, Site::new(consul, size)))
    }

    pub fn consul_kv_get(consul: &'a Consul, size: usize) -> Subject<'a> {
        let job = |site: &Site, address: &str| {
            let key = format!("kvexpress/{}/data", site.key);
            Job::new(words(consul::binary(), &["kv", "get", &format!("-http-addr={address}"), &key]))
        };
        Subject::others("consul kv get", Some(consul::binary().to_owned()), job, Site::new(consul, size))
    }

    pub fn consul_template(consul: &'a Consul, size: usize) -> Option<Subject<'a>> {
        let job = |site: &Site, address: &str| {
            let template = site.write("template", &format!("{{{{ key \"kvexpress/{}/data\" }}}}", site.key));
            let (address, template) =
                (format!("-consul-addr={address}"), format!("-template={template}:{}", site.file().display()));
            Job::new(words(machine::consul_template().expect("Consul Template"), &["-once", &address, &template]))
        };
        let program = machine::consul_template()?;
        Some(Subject::others("consul-template -once", Some(program.to_owned()), job, Site::new(consul, size)))
    }

    fn new(name: &'static str, ours: &str, job: MakeJob, consul: &'a Consul, size: usize) -> Subject<'a> {
        let subject = Subject::others(name, Some(program(ours).into()), job, Site::new(consul, size));
        Subject { is_small: true, ..subject }
    }

    fn others(name: &'static str, program: Option<PathBuf>, job: MakeJob, site: Site<'a>) -> Subject<'a> {
        let subject = Subject { name, program, is_small: false, changed: true, site, job };
        subject.next().run_under(&[]); // From now on, a run finds an old file.
        subject
    }

    /// The same, in a state in which a run has nothing to do.
    fn unchanged(self) -> Subject<'a> {
        Subject { changed: false, ..self }
    }

    /// Makes the next run.
    pub fn next(&self) -> Job {
        self.next_at(self.site.address())
    }

    /// Makes the next run, with this address of Consul.
    pub fn next_at(&self, address: &str) -> Job {
        if self.changed {
            self.site.publish();
        }
        (self.job)(&self.site, address)
    }
}

fn words(program: &Path, arguments: &[&str]) -> Vec<String> {
    let program = program.to_str().expect("UTF-8");
    [program].iter().chain(arguments).map(|&word| word.to_owned()).collect()
}

/// The durations of the runs, in milliseconds. The subjects take turns in alternating order: the speed of a machine
/// varies, and a run has to wait for the writes that the previous run left in the cache.
pub fn time(subjects: &[Subject], rounds: usize) -> Vec<Vec<f64>> {
    let mut taken = vec![Vec::new(); subjects.len()];
    for round in 1..=rounds {
        progress::say(format_args!("round {round} of {rounds}"));
        for turn in 0..subjects.len() {
            let at = if round % 2 == 0 { turn } else { subjects.len() - 1 - turn };
            taken[at].push(subjects[at].next().time());
        }
    }
    progress::clear();
    taken
}
