//! Does what comes over the control socket.

use std::path::Path;

use ipnet::IpNet;
use log::{info, warn};

use super::jails::Jails;
use super::report::{self, Count};
use super::status::Status;
use super::{Daemon, TARGET};
use crate::addr::HostOrNet;
use crate::cli::Failed;
use crate::config::Config;
use crate::control::request::JailName;
use crate::control::{self, Answer, DONE, Listing, NOT_DONE, Pulled, Request, WRONG};
use crate::guard::{Ban, JailId, NotBanned};
use crate::sys::Fault;
use crate::sys::poll::{Place, Ready};
use crate::time::{Lasting, Mono};

/// How an answer goes on.
pub(super) struct Rest {
    /// Of which configuration it speaks: with another one, jails and bans have other numbers.
    reloads: u32,
    what: What,
}

enum What {
    Listing(Listing),
    UnbanAll {
        jail: Option<JailId>,
        /// The next number to look at.
        number: u32,
        lifted: u64,
        uid: u32,
    },
}

pub(super) type Control = control::Control<Rest>;

/// Why something asked for was not done: the exit code and a sentence.
type Refused = (u8, String);

/// Makes the control socket; without one the guard guards on.
///
/// # Errors
/// If a guard is running already.
pub(super) fn open(config: &Config) -> Result<Option<Control>, Failed> {
    let path = Path::new(&config.socket);
    match Control::open(path) {
        Ok(control) => Ok(Some(control)),
        Err(source) => {
            let fault = Fault::new(format!("cannot listen on {}", path.display()), source);
            if fault.source.kind() == std::io::ErrorKind::AddrInUse {
                return Err(fault.into());
            }
            warn!(target: TARGET, "{fault}; status, ban, unban and reload cannot be asked for");
            Ok(None)
        }
    }
}

impl Daemon {
    /// One turn of the control socket. Whether something was asked for.
    pub(super) fn serve(&mut self, ready: Ready, first: Option<Place>, now: Mono) -> bool {
        let Some(mut control) = self.control.take() else {
            return false;
        };
        let mut asked = false;
        control.begin_turn(ready, first, now);
        while let Some((asker, uid, request)) = control.next_request(now) {
            let answer = self.answer(request, uid, now);
            control.answer(asker, answer, now);
            asked = true;
        }
        control.end_turn(now, &mut |rest, out| self.go_on(rest, out));
        self.control = Some(control);
        asked
    }

    fn answer(&mut self, request: Request, uid: u32, now: Mono) -> Answer<Rest> {
        let done = match request {
            Request::Status { jail, json } => self.jail_named(jail.as_ref()).map(|jail| {
                let what = What::Listing(Listing::new(jail, json));
                Answer::listing(self.rest(what))
            }),
            Request::Ban {
                net,
                jail,
                lasting,
                force,
            } => self
                .ban(net, jail.as_ref(), lasting, force, uid)
                .map(|said| Answer::whole(DONE, &said)),
            Request::Unban { net: Some(net), jail } => self
                .unban(net, jail.as_ref(), uid)
                .map(|said| Answer::whole(DONE, &said)),
            Request::Unban { net: None, jail } => self.jail_named(jail.as_ref()).map(|jail| {
                Answer::later(self.rest(What::UnbanAll {
                    jail,
                    number: 0,
                    lifted: 0,
                    uid,
                }))
            }),
            Request::Reload => self
                .reload(now)
                .map(|said| Answer::whole(DONE, &said))
                .map_err(|failed| (failed.code(), format!("keeping the old settings: {failed}"))),
        };
        done.unwrap_or_else(|(code, why)| Answer::whole(code, &why))
    }

    fn rest(&self, what: What) -> Rest {
        Rest {
            reloads: self.reloads,
            what,
        }
    }

    /// Makes more of an answer.
    fn go_on(&mut self, rest: &mut Rest, out: &mut Vec<u8>) -> Pulled {
        let as_before = rest.reloads == self.reloads;
        match &mut rest.what {
            What::Listing(_) if !as_before => Pulled::Cut,
            What::Listing(listing) => {
                let status = Status {
                    config: &self.config,
                    logs: &self.logs,
                    watch: &self.watch,
                    since: self.since,
                };
                listing.fill(&status, out)
            }
            What::UnbanAll {
                jail,
                number,
                lifted,
                uid,
            } => {
                let more = as_before && self.watch.lift_some(*jail, number, lifted);
                self.watch.keep(&self.logs);
                if more {
                    return Pulled::More;
                }
                let bans = Count(*lifted, "ban");
                if *lifted > 0 {
                    info!(target: TARGET, "unbanned by hand (uid {uid}): {bans}");
                }
                if !as_before {
                    return Pulled::Cut;
                }
                let said = match (*lifted, self.watch.held_against_our_will()) {
                    (0, _) => format!("{NOT_DONE}\nnobody is banned\n"),
                    (_, Some(why)) => {
                        format!("{NOT_DONE}\n{bans} lifted, but the kernel still has some: {why}\n")
                    }
                    (_, None) => format!("{DONE}\n{bans} lifted\n"),
                };
                out.extend(said.bytes());
                Pulled::Whole
            }
        }
    }

    /// The jail of that name; `None` if none is named.
    fn jail_named(&self, name: Option<&JailName>) -> Result<Option<JailId>, Refused> {
        let Some(name) = name else { return Ok(None) };
        let jails = self.watch.jails();
        let found = jails.named(name.as_str());
        found.map(Some).ok_or_else(|| {
            let known = known(jails);
            (
                NOT_DONE,
                format!("there is no jail {}; there is: {known}", name.as_str()),
            )
        })
    }

    fn ban(
        &mut self,
        net: IpNet,
        name: Option<&JailName>,
        lasting: Option<Lasting>,
        force: bool,
        uid: u32,
    ) -> Result<String, Refused> {
        let jails = self.watch.jails();
        let jail = match self.jail_named(name)? {
            Some(jail) => jail,
            None if jails.rules().len() == 1 => JailId(0),
            None => {
                let known = known(jails);
                return Err((WRONG, format!("name a jail with --jail; there is: {known}")));
            }
        };
        let jail_name = jails.name(jail).to_owned();
        let shown = HostOrNet(net);
        let lasting = lasting.unwrap_or_else(|| Lasting(self.watch.guard().usual_bantime(jail)));
        self.watch.ban_by_hand(net, jail, lasting, force).map_err(|why| {
            (
                NOT_DONE,
                format!("{shown} is not banned: {}", reason(why, &jail_name)),
            )
        })?;
        match self.watch.guard().standing(net, jail) {
            Some((_, true)) => {
                info!(target: TARGET, "banned {shown} {lasting} by hand (uid {uid}) jail={jail_name}");
                Ok(format!("banned {shown} {lasting}"))
            }
            Some((_, false)) | None => {
                let why = self.watch.trouble().unwrap_or("the kernel did not take it");
                warn!(target: TARGET, "not yet banned {shown} {lasting} by hand (uid {uid}) jail={jail_name}: {why}");
                let what = format!("{shown} is not yet banned, trying again every second: {why}");
                Err((NOT_DONE, what))
            }
        }
    }

    /// Lifts the bans of an address, those of the network that it is banned with among them.
    fn unban(&mut self, net: IpNet, name: Option<&JailName>, uid: u32) -> Result<String, Refused> {
        let only = self.jail_named(name)?;
        let jails = self.watch.jails().rules().len() as u16;
        let jails = (0..jails)
            .map(JailId)
            .filter(|jail| only.is_none_or(|only| only == *jail));
        let lifted: Vec<Ban> = jails.flat_map(|jail| self.watch.lift(net, jail)).collect();
        if lifted.is_empty() {
            return Err((NOT_DONE, format!("{} is not banned", HostOrNet(net))));
        }
        self.watch.settle();
        self.watch.keep(&self.logs);
        let mut said = String::new();
        for ban in &lifted {
            let jail = self.watch.jails().name(ban.jail);
            report::unbanned_by_hand(ban, jail, self.watch.clock().now, uid);
            said += &format!("unbanned {} jail={jail}\n", HostOrNet(ban.net));
        }
        match self.watch.held_against_our_will() {
            None => Ok(said),
            Some(why) => Err((
                NOT_DONE,
                format!("{said}but the kernel still has some bans that were lifted: {why}"),
            )),
        }
    }
}

/// The names of the jails.
fn known(jails: &Jails) -> String {
    let names: Vec<&str> = jails.rules().iter().map(|rule| rule.name.as_str()).collect();
    names.join(", ")
}

fn reason(why: NotBanned, jail: &str) -> String {
    let forced = "--force bans it all the same";
    match why {
        NotBanned::NeverRemote => format!("no remote host has such an address; {forced}"),
        NotBanned::Own => format!("it is the box's own address, gateway or resolver; {forced}"),
        NotBanned::Ignored => format!("it is in ignoreip of jail {jail}; {forced}"),
        NotBanned::NoSuchSet { ipv6prefix } => {
            format!(
                "the kernel's sets hold single addresses, and of IPv6 networks of /{ipv6prefix} (ipv6prefix)"
            )
        }
        NotBanned::TableFull => "the table is full (maxbans)".to_owned(),
        NotBanned::NoJail => "there is no such jail".to_owned(),
    }
}
