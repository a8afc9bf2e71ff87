//! The jails of a configuration as the loop needs them: which file feeds which filters and jails.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{self, Config, FilterName, Warning};
use crate::filter::{Context, Filter, Reading, Trail};
use crate::firewall::JailRule;
use crate::guard::{JailId, Policy, Trust};
use crate::limits::{CONFIG_BYTES_MAX, FILES_MAX};
use crate::tail::Line;

/// Where the configuration is looked for if the command line names none.
const DEFAULT_PATH: &str = "/etc/sipguard/jail.local";

/// Reads the configuration: the file that is named, else the default one, else what is built in.
///
/// # Errors
/// The first mistake in the file, or that a file which was asked for cannot be read.
pub fn load(path: Option<&Path>) -> Result<(Config, Vec<Warning>), config::Error> {
    if path.is_none() && !Path::new(DEFAULT_PATH).exists() {
        return Ok((Config::built_in(), Vec::new()));
    }
    let path = path.map_or_else(|| PathBuf::from(DEFAULT_PATH), Path::to_path_buf);
    config::load(&path, &mut read_bounded)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut text = Vec::new();
    fs::File::open(path)?.take(CONFIG_BYTES_MAX as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// All jails: who reads their lines, and what of the kernel they need.
pub(super) struct Jails {
    names: Vec<String>,
    rules: Vec<JailRule>,
    filters: Vec<Filter>,
    feeds: Vec<Feed>,
    /// What each filter remembers of each file: `filters` of them for every file.
    trails: Vec<Trail>,
}

/// One entry of a `logpath`, with the filters that read it and the jails that they read it for.
struct Feed {
    pattern: String,
    routes: Vec<Route>,
}

struct Route {
    filter: usize,
    jails: Vec<JailId>,
}

impl Jails {
    pub(super) fn new(config: &Config) -> Jails {
        let mut filters: Vec<FilterName> = Vec::new();
        let mut feeds: Vec<Feed> = Vec::new();
        for (number, jail) in config.jails.iter().enumerate() {
            let id = JailId(number as u16);
            let filter = position_or_push(&mut filters, |name| *name == jail.filter, || jail.filter.clone());
            for pattern in &jail.logpaths {
                let new = || Feed { pattern: pattern.clone(), routes: Vec::new() };
                let feed = position_or_push(&mut feeds, |feed| feed.pattern == *pattern, new);
                let routes = &mut feeds[feed].routes;
                let new = || Route { filter, jails: Vec::new() };
                let route = position_or_push(routes, |route| route.filter == filter, new);
                routes[route].jails.push(id);
            }
        }
        let rules =
            config.jails.iter().map(|jail| JailRule { name: jail.name.clone(), blocks: jail.blocks.clone() });
        Jails {
            names: config.jails.iter().map(|jail| jail.name.clone()).collect(),
            rules: rules.collect(),
            trails: vec![Trail::default(); filters.len() * FILES_MAX],
            filters: filters.iter().map(Filter::new).collect(),
            feeds,
        }
    }

    /// The entries of all `logpath`s, each once; [`Line::pattern`] is an index here.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.feeds.iter().map(|feed| feed.pattern.as_str())
    }

    pub(super) fn rules(&self) -> &[JailRule] {
        &self.rules
    }

    pub(super) fn name(&self, jail: JailId) -> &str {
        self.names.get(usize::from(jail.0)).map_or("?", String::as_str)
    }

    pub(super) fn named(&self, name: &str) -> Option<JailId> {
        self.names.iter().position(|other| other == name).map(|number| JailId(number as u16))
    }

    #[expect(clippy::unused_self, reason = "the policies are the jails', in their order")]
    pub(super) fn policies(&self, config: &Config) -> Vec<Policy> {
        let policy = |jail: &config::Jail| Policy {
            maxretry: jail.maxretry,
            findtime: jail.findtime,
            bantime: jail.bantime,
            trust: Trust::new(jail.ignoreip.iter().copied()),
        };
        config.jails.iter().map(policy).collect()
    }

    /// How many filters read the lines of this pattern.
    pub(super) fn routes(&self, pattern: usize) -> usize {
        self.feeds.get(pattern).map_or(0, |feed| feed.routes.len())
    }

    /// What one of these filters reads in a line.
    pub(super) fn read(&mut self, line: &Line<'_>, route: usize, context: &Context) -> Reading {
        let Some(route) = self.feeds.get(line.pattern).and_then(|feed| feed.routes.get(route)) else {
            return Reading::Nothing;
        };
        let trail = usize::from(line.file.0) * self.filters.len() + route.filter;
        let (Some(filter), Some(trail)) = (self.filters.get(route.filter), self.trails.get_mut(trail)) else {
            return Reading::Nothing;
        };
        filter.read(line.bytes, trail, context)
    }

    /// The jails that one of these filters reads for, one by one.
    pub(super) fn jail(&self, pattern: usize, route: usize, at: usize) -> Option<JailId> {
        self.feeds.get(pattern)?.routes.get(route)?.jails.get(at).copied()
    }
}

/// Where in `list` the element is that `fits`; a `new` one at the end if there is none.
fn position_or_push<T>(list: &mut Vec<T>, fits: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> usize {
    list.iter().position(fits).unwrap_or_else(|| {
        list.push(new());
        list.len() - 1
    })
}
