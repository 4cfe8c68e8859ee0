//! What took part: nodes and how evenly they shared the load, agents, Redis, the options and the machine.

use std::fmt;

use super::text::Text;
use crate::report::number::{amount, count, mib, ms};
use crate::report::{Counts, NodeUse, Report};

/// The drawing's own units, as wide as the longest bar.
const WIDTH: f64 = 100.0;

/// Writes the section on nodes.
pub(super) struct Nodes<'a>(pub &'a Report);

impl fmt::Display for Nodes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = &self.0.nodes;
        if nodes.is_empty() {
            return Ok(());
        }
        f.write_str(r#"<section class="card"><h2>Nodes</h2>"#)?;
        if nodes.len() > 1 {
            f.write_str(r#"<p class="note">The thin line is an even share.</p>"#)?;
        }
        f.write_str(r#"<table class="shares"><thead><tr><th>node</th><th>connections</th><th></th><th>deliveries</th><th></th>"#)?;
        f.write_str("<th>CPU, s</th><th>memory, MiB</th></tr></thead><tbody>")?;
        let mean = |of: fn(&NodeUse) -> u64| nodes.iter().map(of).sum::<u64>() as f64 / nodes.len() as f64;
        let (connections, deliveries) = (mean(|node| node.connections), mean(|node| node.deliveries));
        let most = |of: fn(&NodeUse) -> u64| nodes.iter().map(of).max().unwrap_or(0) as f64;
        let (most_connections, most_deliveries) = (most(|node| node.connections), most(|node| node.deliveries));
        for node in nodes {
            write!(f, "<tr><th>{}</th><td>{}</td>", Text(&node.address), count(node.connections))?;
            share(node.connections as f64, connections, most_connections, f)?;
            write!(f, "<td>{}</td>", count(node.deliveries))?;
            share(node.deliveries as f64, deliveries, most_deliveries, f)?;
            let cpu = node.cpu_s.map_or_else(|| "–".to_owned(), amount);
            let memory = node.memory_bytes_max.map_or_else(|| "–".to_owned(), mib);
            write!(f, "<td>{cpu}</td><td>{memory}</td></tr>")?;
        }
        f.write_str("</tbody></table></section>")
    }
}

/// A bar from 0, with a line at `even`.
fn share(value: f64, even: f64, most: f64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let wide = |value: f64| if most > 0.0 { value / most * WIDTH } else { 0.0 };
    write!(f, r#"<td class="share"><svg viewBox="0 0 {WIDTH} 10" preserveAspectRatio="none" aria-hidden="true">"#)?;
    write!(f, r#"<rect width="{:.2}" height="10"/>"#, wide(value))?;
    write!(f, r#"<rect class="even" x="{:.2}" width="0.8" height="10"/></svg></td>"#, (wide(even) - 0.4).clamp(0.0, WIDTH - 0.8))
}

/// Writes the section on agents.
pub(super) struct Agents<'a>(pub &'a Report);

impl fmt::Display for Agents<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.agents.is_empty() {
            return Ok(());
        }
        f.write_str(
            r#"<section class="card"><h2>Agents</h2><p class="note">The clock's error is what latencies between agents are exact to."#,
        )?;
        f.write_str("</p><table><thead><tr><th>agent</th><th>published</th><th>received</th><th>lost</th><th>ended</th>")?;
        f.write_str("<th>clock, ± ms</th><th>cores</th></tr></thead><tbody>")?;
        for agent in &self.0.agents {
            let Counts { published, received, lost, closed, .. } = agent.ledger;
            write!(f, "<tr><th>{}</th>", Text(&agent.address))?;
            for number in [published, received, lost, closed].map(count) {
                write!(f, "<td>{number}</td>")?;
            }
            write!(f, "<td>{}</td><td>{}</td></tr>", ms(agent.clock_error_us), agent.machine.cores)?;
        }
        f.write_str("</tbody></table></section>")
    }
}

/// Writes the section on Redis.
pub(super) struct Redis<'a>(pub &'a Report);

impl fmt::Display for Redis<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(redis) = &self.0.redis else { return Ok(()) };
        let (cpu, memory) = (amount(redis.cpu_s), mib(redis.memory_bytes));
        write!(f, r#"<section class="card"><h2>Redis</h2><p class="note">{cpu} s of CPU and {memory} MiB of memory.</p>"#)?;
        let mut commands: Vec<(&String, &u64)> = redis.commands.iter().collect();
        commands.sort_by(|a, b| b.1.cmp(a.1));
        let most = commands.first().map_or(1, |(_, calls)| **calls).max(1) as f64;
        f.write_str(r#"<table class="shares"><thead><tr><th>command</th><th>calls</th><th></th></tr></thead><tbody>"#)?;
        for (name, calls) in commands {
            let wide = *calls as f64 / most * WIDTH;
            write!(f, "<tr><th>{}</th><td>{}</td>", Text(name), count(*calls))?;
            write!(f, r#"<td class="share long"><svg viewBox="0 0 {WIDTH} 10" preserveAspectRatio="none" aria-hidden="true">"#)?;
            write!(f, r#"<rect width="{wide:.2}" height="10"/></svg></td></tr>"#)?;
        }
        f.write_str("</tbody></table></section>")
    }
}

/// Writes what no number says.
pub(super) struct Remarks<'a>(pub &'a Report);

impl fmt::Display for Remarks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.remarks.is_empty() {
            return Ok(());
        }
        f.write_str(r#"<section class="card"><h2>Remarks</h2><ul class="remarks">"#)?;
        self.0.remarks.iter().try_for_each(|remark| write!(f, "<li>{}</li>", Text(remark)))?;
        f.write_str("</ul></section>")
    }
}

/// Writes the section on options and the machine.
pub(super) struct Setting<'a>(pub &'a Report);

impl fmt::Display for Setting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { options, machine, .. } = self.0;
        f.write_str(r#"<section class="card setting"><div><h2>Options</h2><dl>"#)?;
        for (name, value) in options {
            write!(f, "<dt>{}</dt><dd>{}</dd>", Text(name), Text(value))?;
        }
        f.write_str("</dl></div><div><h2>Machine of the tool</h2><dl>")?;
        let cores = count(machine.cores as u64);
        let facts =
            [("processor", &machine.processor), ("cores", &cores), ("kernel", &machine.kernel), ("roomcast-loadtest", &machine.version)];
        for (name, value) in facts {
            write!(f, "<dt>{name}</dt><dd>{}</dd>", Text(value))?;
        }
        f.write_str("</dl></div></section>")
    }
}
