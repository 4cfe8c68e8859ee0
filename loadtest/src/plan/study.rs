//! How costs grow: the curves of docs/scale.md, each along one axis, as drawings of their own. Pure.

use std::fmt;

use super::costs::MEASURED;
use super::model::{Placement, Shape};
use crate::report::page::plot::{Line, Plot};
use crate::report::page::scale::Scale;
use crate::report::page::text::Text;

/// Points of a curve.
const POINTS: u32 = 60;
/// A drawing, and the room above it for its legend.
const SIZE: (f64, f64) = (760.0, 340.0);
const LEGEND: f64 = 66.0;
/// One node holds so many sessions of an org where they are kept together.
const TOGETHER: Placement = Placement::Together { per_node: 5_000.0 };

/// From where to where the axes go.
const ORGS: (f64, f64) = (10.0, 1e6);
const NODES: (f64, f64) = (3.0, 300.0);

/// Many small tenants: ten sessions each, a publication every ten seconds that reaches half of them, 20,000 sessions on a node.
const TENANTS: Shape = Shape {
    nodes: 3.0,
    orgs: 1_000.0,
    sessions: 10.0,
    rate: 0.1,
    reach: 0.5,
    churn: 1.0 / 3_600.0,
    placement: Placement::Anywhere,
    topics: 1.0,
};
/// One large org: a million sessions, 200 publications a second into rooms of 1,000.
const LARGE: Shape = Shape { nodes: 50.0, orgs: 1.0, sessions: 1_000_000.0, rate: 200.0, reach: 0.001, ..TENANTS };

/// One drawing with its file name below docs/images.
pub struct Drawing {
    pub name: &'static str,
    curves: Vec<Curve>,
    x_title: &'static str,
    y_title: &'static str,
}

/// One line of a drawing.
struct Curve {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

/// All of them.
pub fn drawings() -> Vec<Drawing> {
    vec![orgs(), nodes(), large()]
}

/// Cores of Redis as orgs come, on as many nodes as their sessions need.
fn orgs() -> Drawing {
    let shape = |orgs: f64| Shape { orgs, nodes: (orgs * TENANTS.sessions / 20_000.0).clamp(3.0, 300.0), ..TENANTS };
    let together = |orgs: f64| Shape { placement: TOGETHER, ..shape(orgs) };
    let bill = |shape: Shape| MEASURED.bill(&shape);
    Drawing {
        name: "scale-orgs.svg",
        x_title: "orgs of 10 sessions (logarithmic)",
        y_title: "cores of Redis (logarithmic)",
        curves: vec![
            curve("all", ORGS, |orgs| bill(shape(orgs)).redis_cores),
            curve("publications", ORGS, |orgs| bill(shape(orgs)).redis_publish_cores),
            curve("probes", ORGS, |orgs| bill(shape(orgs)).redis_probe_cores),
            curve("leases", ORGS, |orgs| bill(shape(orgs)).redis_lease_cores),
            curve("all, with each org's sessions together", ORGS, |orgs| bill(together(orgs)).redis_cores),
        ],
    }
}

/// Cores of Redis and of all nodes together as the same work is spread over more nodes.
fn nodes() -> Drawing {
    let shape = |nodes: f64| Shape { nodes, orgs: 10_000.0, sessions: 100.0, rate: 1.0, ..TENANTS };
    let all_nodes = |shape: Shape| MEASURED.bill(&shape).node_cores * shape.nodes;
    Drawing {
        name: "scale-nodes.svg",
        x_title: "nodes, for 10,000 orgs of 100 sessions and 10,000 publications/s (logarithmic)",
        y_title: "cores (logarithmic)",
        curves: vec![
            curve("all nodes together", NODES, |nodes| all_nodes(shape(nodes))),
            curve("the same, sessions together", NODES, |nodes| all_nodes(Shape { placement: TOGETHER, ..shape(nodes) })),
            curve("Redis", NODES, |nodes| MEASURED.bill(&shape(nodes)).redis_cores),
            curve("Redis, sessions together", NODES, |nodes| MEASURED.bill(&Shape { placement: TOGETHER, ..shape(nodes) }).redis_cores),
        ],
    }
}

/// What every node of a large org spends on publications that none of its sessions wants, and what topics would leave of it.
fn large() -> Drawing {
    let heard = |shape: Shape| shape.operations().events * MEASURED.node_event_us / 1e6;
    let topics = |name, topics: f64| curve(name, NODES, move |nodes| heard(Shape { nodes, topics, ..LARGE }));
    Drawing {
        name: "scale-large-org.svg",
        x_title: "nodes, for one org of a million sessions and 200 publications/s (logarithmic)",
        y_title: "cores of all nodes for being told (logarithmic)",
        curves: vec![topics("one topic per org, as it is", 1.0), topics("4,096 topics per org", 4_096.0)],
    }
}

/// Points at equal distances on a logarithmic axis.
fn curve(name: &'static str, (least, most): (f64, f64), at: impl Fn(f64) -> f64) -> Curve {
    let x = |n: u32| least * (most / least).powf(f64::from(n) / f64::from(POINTS));
    Curve { name, points: (0..=POINTS).map(x).map(|x| (x, at(x))).collect() }
}

impl Drawing {
    fn scales(&self) -> (Scale, Scale) {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let least = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(f64::INFINITY, f64::min);
        let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max);
        let power = |value: f64, round: fn(f64) -> f64| 10f64.powf(round(value.log10()));
        let y = Scale::Log { least: power(least(|point| point.1), f64::floor), most: power(most(|point| point.1), f64::ceil) };
        (Scale::Log { least: least(|point| point.0), most: most(|point| point.0) }, y)
    }
}

impl fmt::Display for Drawing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((width, height), (x, y)) = (SIZE, self.scales());
        let lines = self.curves.iter().enumerate().map(|(at, curve)| Line {
            name: curve.name,
            class: format!("c{at}"),
            pieces: vec![curve.points.clone()],
            marks: Vec::new(),
        });
        let lines: Vec<Line<'_>> = lines.collect();
        let whole = height + LEGEND;
        writeln!(f, r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {whole}" width="{width}" height="{whole}">"#)?;
        writeln!(f, "<style>{}</style>", include_str!("study.css").trim())?;
        writeln!(f, r#"<rect width="{width}" height="{whole}" class="page"/>"#)?;
        for (at, line) in lines.iter().enumerate() {
            let (left, top) = (20.0 + (at % 2) as f64 * 370.0, 16.0 + (at / 2) as f64 * 17.0);
            write!(f, r#"<path class="line {}" d="M{left} {top}h32"/>"#, line.class)?;
            writeln!(f, r#"<text x="{}" y="{}">{}</text>"#, left + 40.0, top + 4.0, Text(line.name))?;
        }
        let plot = Plot { width, height, x, y, x_title: self.x_title, y_title: self.y_title, lines };
        writeln!(f, r#"<svg y="{LEGEND}" width="{width}" height="{height}">{plot}</svg>"#)?;
        f.write_str("</svg>\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawings_of_the_documents_are_current() {
        for drawing in drawings() {
            let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images").join(drawing.name);
            let made = drawing.to_string();
            if std::env::var_os("UPDATE_DOCS").is_some() {
                std::fs::write(&file, &made).unwrap();
            }
            let written = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(written == made, "{} is stale: write it anew with UPDATE_DOCS=1 cargo test -p roomcast-loadtest plan", drawing.name);
        }
    }
}
