//! `bantime.increment` and its family.

use super::reading::{Reading, shown};
use super::value;
use crate::guard::Escalation;

/// fail2ban's formula if none is written: the time doubles with every ban, twenty times at most.
const DOUBLINGS: u32 = 20;

/// The formulas of fail2ban's jail.conf, without blanks. Others would need Python.
const FORMULA: &str = "ban.Time*(1<<(ban.Countifban.Count<20else20))*banFactor";
const FORMULA_EXP: &str = "ban.Time*math.exp(float(ban.Count+1)*banFactor)/math.exp(1*banFactor)";

/// Steps of a list or of a formula that are kept; more never come about in practice.
const STEPS_MAX: usize = 64;

/// What a jail says of it; `None` if it is off, or after a mistake, which is noted.
pub(super) fn escalation(reading: &mut Reading<'_>, section: &str) -> Option<Escalation> {
    if !reading.yes_no(section, "bantime.increment")? {
        return None;
    }
    let factor = factor(reading, section)?;
    let multipliers = match list(reading, section)? {
        given if given.is_empty() => formula(reading, section, factor)?,
        given => given
            .iter()
            .map(|step| step.saturating_mul(factor) / 1000)
            .collect(),
    };
    let maxtime = optional_seconds(reading, section, "bantime.maxtime");
    let rndtime = optional_seconds(reading, section, "bantime.rndtime").unwrap_or(0);
    let overalljails = reading.yes_no(section, "bantime.overalljails").unwrap_or(false);
    Some(Escalation {
        multipliers,
        maxtime,
        rndtime,
        overalljails,
    })
}

/// `bantime.factor`, in thousandths.
fn factor(reading: &mut Reading<'_>, section: &str) -> Option<u64> {
    let value = reading.value(section, "bantime.factor")?;
    let text = value.text().trim();
    let factor = value::thousandths(text).filter(|&factor| factor > 0);
    let what = || {
        format!(
            "bantime.factor: \"{}\" is not a number above 0; use 1, 2 or 1.5",
            shown(text)
        )
    };
    reading.right(factor.ok_or_else(|| value.wrong(value.text(), what())))
}

/// `bantime.multipliers`, in thousandths; empty if there are none.
fn list(reading: &mut Reading<'_>, section: &str) -> Option<Vec<u64>> {
    let value = reading.value(section, "bantime.multipliers")?;
    let mut steps = Vec::new();
    for word in value.words() {
        let step = value::thousandths(word);
        let what = || {
            format!(
                "bantime.multipliers: \"{}\" is not a number; use 1 2 4 8",
                shown(word)
            )
        };
        steps.push(reading.right(step.ok_or_else(|| value.wrong(word, what())))?);
    }
    if steps.len() > STEPS_MAX {
        let what = format!(
            "bantime.multipliers: {} numbers; {STEPS_MAX} are the limit",
            steps.len()
        );
        reading.wrong(value.wrong(value.text(), what));
        return None;
    }
    Some(steps)
}

fn formula(reading: &mut Reading<'_>, section: &str, factor: u64) -> Option<Vec<u64>> {
    let value = reading.value(section, "bantime.formula")?;
    let text: String = value.text().split_whitespace().collect();
    if text.is_empty() || text == FORMULA {
        let doubled = |count: u32| factor.saturating_mul(1_u64 << count);
        return Some((0..=DOUBLINGS).map(doubled).collect());
    }
    if text == FORMULA_EXP {
        // `as` stops at the largest number.
        let grown = |count: u32| ((f64::from(count) * factor as f64 / 1000.0).exp() * 1000.0) as u64;
        return Some((0..=DOUBLINGS).map(grown).collect());
    }
    let what = "bantime.formula: only the two formulas of fail2ban's jail.conf are known, others are Python; \
                write the steps as bantime.multipliers = 1 2 4 8";
    reading.wrong(value.wrong(value.text(), what.to_owned()));
    None
}

/// A span that may be left out.
fn optional_seconds(reading: &mut Reading<'_>, section: &str, key: &'static str) -> Option<u64> {
    let empty = reading.value(section, key)?.text().trim().is_empty();
    if empty {
        None
    } else {
        reading.seconds(section, key)?
    }
}
