//! What is run again and again: a program in one of the situations that matter.

use std::path::{Path, PathBuf};

use super::common::{Consul, consul};
use super::handler::{Handler, program};
use super::job::Job;
use super::site::Site;
use super::{machine, progress};

pub struct Subject<'a> {
    pub name: &'static str,
    /// The program, where it is one and not a script.
    pub program: Option<PathBuf>,
    /// Small enough for callgrind.
    pub is_small: bool,
    /// Each run finds another document in Consul than the one before.
    changed: bool,
    site: Site<'a>,
    job: MakeJob,
}

/// Of a run that takes this address for Consul's.
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

    /// The watch fires without need.
    pub fn kvx_out_unchanged(consul: &'a Consul, size: usize) -> Subject<'a> {
        Subject { name: "kvx-out, unchanged", ..Subject::kvx_out_by_key(consul, size) }.unchanged()
    }

    /// By a timer: there is no payload.
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
        subject.next().run_under(&[]); // From now on there is an old file.
        subject
    }

    /// All that a run could do has been done.
    fn unchanged(self) -> Subject<'a> {
        Subject { changed: false, ..self }
    }

    /// The next run.
    pub fn next(&self) -> Job {
        self.next_at(self.site.address())
    }

    /// The same, which takes this address for Consul's.
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

/// How long each of the runs takes, in milliseconds. The subjects take turns, there and back: a machine is not always
/// equally fast, and what one leaves to be written, the next has to wait for.
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
