//! Where Asterisk's files are (asterisk.conf), and which of its modules run (modules.conf).

use super::conf::Conf;
use super::include::in_directory;
use super::{Directory, Inquiry};

/// What the two files say.
#[derive(Debug)]
pub(super) struct Places {
    /// Where log files are that have no path.
    pub(super) logdir: String,
    modules: Option<Conf>,
    /// The modules on disk, if we know where they are.
    installed: Option<Vec<String>>,
}

/// Reads asterisk.conf and modules.conf, and tells the inquiry where the others are.
pub(super) fn find(directory: Directory<'_>, inquiry: &mut Inquiry<'_>) -> Places {
    inquiry.etc = match directory {
        Directory::Named(directory) => directory.to_owned(),
        Directory::Usual => ETC.to_owned(),
    };
    let main = inquiry.open("asterisk.conf");
    let named = |key: &str| {
        let entry = main.as_ref()?.last("directories", key)?;
        Some(String::from_utf8_lossy(&entry.value).into_owned())
    };
    if let (Directory::Usual, Some(etc)) = (directory, named("astetcdir")) {
        inquiry.etc = in_directory(ETC, &etc);
    }
    let logdir = named("astlogdir").unwrap_or_else(|| LOG.to_owned());
    let modules = inquiry.open("modules.conf");
    let installed = match named("astmoddir") {
        Some(directory) => installed(&directory, inquiry),
        None => MODULES.iter().find_map(|directory| installed(directory, inquiry)),
    };
    Places {
        logdir,
        modules,
        installed,
    }
}

/// The modules in a directory, if it looks like all of them: every Asterisk has `pbx_config.so`.
fn installed(directory: &str, inquiry: &mut Inquiry<'_>) -> Option<Vec<String>> {
    let names = inquiry.files.names(directory);
    names.iter().any(|name| name == "pbx_config.so").then_some(names)
}

impl Places {
    /// Whether a module runs, as far as we can know (`load_modules`, `main/loader.c`).
    pub(super) fn runs(&self, module: &str) -> bool {
        let file = format!("{module}.so");
        if self
            .installed
            .as_ref()
            .is_some_and(|names| !names.contains(&file))
        {
            return false;
        }
        let Some(section) = self.modules.as_ref().and_then(|conf| conf.section("modules")) else {
            return true;
        };
        let names = |key: &'static str| section.all(key).any(|entry| entry.is(&file) || entry.is(module));
        let is_named = ["load", "preload", "require", "preload-require"]
            .into_iter()
            .any(names);
        !names("noload") && (is_named || super::is_on(section.first("autoload")))
    }

    /// `modules.conf:7`, where a module is kept from running, if it is.
    pub(super) fn noload(&self, module: &str) -> Option<String> {
        let conf = self.modules.as_ref()?;
        let file = format!("{module}.so");
        let mut entries = conf.section("modules")?.all("noload");
        let entry = entries.find(|entry| entry.is(&file) || entry.is(module))?;
        Some(conf.at(entry.place))
    }
}

const ETC: &str = "/etc/asterisk";
const LOG: &str = "/var/log/asterisk";

/// Where modules are if asterisk.conf does not say.
const MODULES: [&str; 3] = [
    "/usr/lib/asterisk/modules",
    "/usr/lib64/asterisk/modules",
    "/usr/local/lib/asterisk/modules",
];
