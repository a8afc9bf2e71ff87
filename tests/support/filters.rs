//! Filters read through the configuration, as the daemon reads them, and the sample lines for them.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use sipguard::config::{self, Config, FilterName, Warning};
use sipguard::filter::custom::{Custom, Definition};
use sipguard::filter::{Context, Reading};
use sipguard::time::Wall;

/// A jail.local of one jail with this filter, as if it stood in `folder`, over the files that are there.
pub(crate) fn load(folder: &str, filter: &str) -> Result<(Config, Vec<Warning>), config::Error> {
    let main = Path::new(folder).join("jail.local");
    let text = format!("[jail]\nenabled = true\nfilter = {filter}\nlogpath = /log\nprotocol = tcp\n");
    config::load(&main, &mut |path| {
        if path == main {
            return Ok(text.clone().into_bytes());
        }
        fs::read(path)
    })
}

/// What was read of a filter.
pub(crate) fn definition(config: &Config) -> Rc<Definition> {
    match &config.jails[0].filter {
        FilterName::Custom(definition) => Rc::clone(definition),
        built_in => panic!("{} is built in", built_in.name()),
    }
}

/// A reader of the filter.
pub(crate) fn reader(folder: &str, filter: &str) -> Custom {
    let (config, _) = load(folder, filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    Custom::new(definition(&config))
}

/// The end of 2026, in UTC.
pub(crate) fn context() -> Context {
    Context {
        today: Wall(1_798_700_000),
        utc_offset_s: 0,
    }
}

/// The address that a line counts against, or `-`.
pub(crate) fn counted(reader: &Custom, line: &str) -> String {
    match reader.read(line.as_bytes(), &context()) {
        Reading::Failure(failure) => failure.addr.to_string(),
        Reading::Nothing | Reading::Sign(_) | Reading::Suspicious(_) => "-".to_owned(),
    }
}

/// A sample: filter, address or `-`, line.
pub(crate) fn samples(path: &str) -> Vec<[String; 3]> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let samples = lines.map(|line| {
        let mut fields = line.splitn(3, '\t').map(str::to_owned);
        [(); 3].map(|()| fields.next().unwrap_or_else(|| panic!("{line}")))
    });
    samples.collect()
}
