//! A picture for the README: how long attackers go on after the line that decides.

use std::fmt::Write as _;

use crate::report::{Report, number};
use crate::subjects::SUBJECTS;

const WIDTH: f64 = 720.0;
const LEFT: f64 = 170.0;
const ROW: f64 = 26.0;

/// Bars on a logarithmic scale, from 10 µs to 10 s.
pub(crate) fn reaction(report: &Report) -> String {
    let bars: Vec<(String, f64)> = SUBJECTS
        .iter()
        .filter_map(|subject| Some((subject.name(), report.median(&subject.name(), "reaction, µs")?)))
        .collect();
    let height = 46.0 + ROW * bars.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"20\" font-weight=\"bold\">From the deciding log line to the ban in the kernel, median, \
         logarithmic</text>\n"
    );
    for (row, (who, value)) in bars.iter().enumerate() {
        let y = 34.0 + ROW * row as f64;
        let length = (value.max(10.0) / 10.0).log10() / 6.0 * (WIDTH - LEFT - 90.0);
        let colour = if who.starts_with("sipguard") {
            "#1a7f37"
        } else {
            "#8c959f"
        };
        let shown = if *value >= 1e6 {
            format!("{} s", number(value / 1e6))
        } else if *value >= 1e3 {
            format!("{} ms", number(value / 1e3))
        } else {
            format!("{} µs", number(*value))
        };
        let _ = writeln!(
            svg,
            "<text x=\"8\" y=\"{}\">{who}</text><rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"18\" \
             fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{}\">{shown}</text>",
            y + 14.0,
            LEFT + length + 6.0,
            y + 14.0
        );
    }
    svg + "</svg>\n"
}
