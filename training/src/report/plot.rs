//! Plots as SVG text: a frame with ticks, and marks inside it. Colours are CSS variables, so they follow the theme.

use std::fmt::Write as _;

/// Margins around the plotting area: left, top, right, bottom, in pixels.
const MARGIN: (f64, f64, f64, f64) = (64.0, 14.0, 24.0, 44.0);

/// A plotting area under construction.
pub(super) struct Plot {
    size: (f64, f64),
    x: (f64, f64),
    y: (f64, f64),
    body: String,
    title: String,
}

/// How numbers on an axis read.
pub(super) type Format = fn(f64) -> String;

impl Plot {
    /// An area of `size` pixels over the ranges `x` and `y`; `title` is read out by screen readers.
    pub(super) fn new(title: &str, size: (f64, f64), x: (f64, f64), y: (f64, f64)) -> Self {
        let widen = |(lo, hi): (f64, f64)| if hi > lo { (lo, hi) } else { (lo - 0.5, lo + 0.5) };
        Self { size, x: widen(x), y: widen(y), body: String::new(), title: super::escape(title) }
    }

    fn px(&self, x: f64) -> f64 {
        let width = self.size.0 - MARGIN.0 - MARGIN.2;
        MARGIN.0 + width * (x - self.x.0) / (self.x.1 - self.x.0)
    }

    fn py(&self, y: f64) -> f64 {
        let height = self.size.1 - MARGIN.1 - MARGIN.3;
        MARGIN.1 + height * (self.y.1 - y) / (self.y.1 - self.y.0)
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.body.write_fmt(text);
    }

    /// Grid lines, tick labels and axis names.
    pub(super) fn axes(&mut self, (name_x, format_x): (&str, Format), (name_y, format_y): (&str, Format)) {
        let (left, right) = (MARGIN.0, self.size.0 - MARGIN.2);
        let (top, bottom) = (MARGIN.1, self.size.1 - MARGIN.3);
        for tick in ticks(self.x) {
            let (x, label) = (self.px(tick), format_x(tick));
            self.write(format_args!(
                "<line class=grid x1={x:.1} x2={x:.1} y1={top} y2={bottom} />\
                 <text x={x:.1} y={:.1} text-anchor=middle>{label}</text>",
                bottom + 16.0
            ));
        }
        for tick in ticks(self.y) {
            let (y, label) = (self.py(tick), format_y(tick));
            self.write(format_args!(
                "<line class=grid x1={left} x2={right} y1={y:.1} y2={y:.1} />\
                 <text x={:.1} y={:.1} text-anchor=end>{label}</text>",
                left - 6.0,
                y + 4.0
            ));
        }
        let (middle_x, middle_y) = (0.5 * (left + right), 0.5 * (top + bottom));
        self.write(format_args!(
            "<text class=axis x={middle_x:.1} y={:.1} text-anchor=middle>{}</text>\
             <text class=axis x=12 y={middle_y:.1} text-anchor=middle transform=\"rotate(-90 12 {middle_y:.1})\">{}</text>",
            self.size.1 - 6.0,
            super::escape(name_x),
            super::escape(name_y)
        ));
    }

    /// A line through `points`.
    pub(super) fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let path: Vec<String> =
            points.iter().map(|&(x, y)| format!("{:.1},{:.1}", self.px(x), self.py(y))).collect();
        self.write(format_args!("<polyline class=\"{class}\" points=\"{}\" />", path.join(" ")));
    }

    /// A dot with a hover text.
    pub(super) fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64, hover: &str) {
        let (x, y, hover) = (self.px(x), self.py(y), super::escape(hover));
        self.write(format_args!(
            "<circle class=\"{class}\" cx={x:.1} cy={y:.1} r={radius:.1}><title>{hover}</title></circle>"
        ));
    }

    /// A filled bar with a hover text.
    pub(super) fn bar(&mut self, class: &str, x: (f64, f64), y: (f64, f64), hover: &str) {
        let (left, right, top, bottom) = (self.px(x.0), self.px(x.1), self.py(y.1), self.py(y.0));
        let (width, height, hover) = (right - left, bottom - top, super::escape(hover));
        self.write(format_args!(
            "<rect class=\"{class}\" x={left:.1} y={top:.1} width={width:.1} height={height:.1}><title>{hover}</title></rect>"
        ));
    }

    /// A text that begins at a point.
    pub(super) fn text(&mut self, (x, y): (f64, f64), text: &str) {
        let (x, y, text) = (self.px(x), self.py(y) + 4.0, super::escape(text));
        self.write(format_args!("<text x={x:.1} y={y:.1}>{text}</text>"));
    }

    /// A straight segment.
    pub(super) fn segment(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let (x1, y1, x2, y2) = (self.px(from.0), self.py(from.1), self.px(to.0), self.py(to.1));
        self.write(format_args!("<line class=\"{class}\" x1={x1:.1} y1={y1:.1} x2={x2:.1} y2={y2:.1} />"));
    }

    /// The finished element.
    pub(super) fn finish(self) -> String {
        let Self { size: (width, height), body, title, .. } = self;
        format!(
            "<svg role=img aria-label=\"{title}\" viewBox=\"0 0 {width} {height}\"><title>{title}</title>{body}</svg>"
        )
    }
}

/// Four to eight round numbers inside `(lo, hi)`.
pub(super) fn ticks((lo, hi): (f64, f64)) -> Vec<f64> {
    let rough = (hi - lo) / 5.0;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough).max(f64::MIN_POSITIVE);
    let first = (lo / step).ceil();
    let mut found = Vec::new();
    while found.len() < 20 && (first + found.len() as f64) * step <= hi + 1e-9 * step {
        found.push((first + found.len() as f64) * step);
    }
    found
}
