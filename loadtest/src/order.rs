//! What a coordinator lets agents do, as a command line of allowed words; made from the coordinator's own options, and looked at again by
//! each agent before it obeys. Pure.

use clap::parser::ValueSource;

use crate::role::Role;

/// Scenarios whose members can be shared among agents: nobody publishes, or one publisher does into one room.
pub const SCENARIOS: [&str; 4] = ["fanout", "burst", "idle", "connect"];
/// Those in which nobody publishes, so that all agents do the same; every other one needs `--role`.
const SILENT: [&str; 2] = ["idle", "connect"];

/// What is shared: each agent gets its part of the number.
const SHARED: [&str; 3] = ["subscribers", "sessions", "connections"];

/// Options that travel. Everything else does not, above all what starts processes (--gateway, --redis, --pin), what writes files (--json,
/// --html) and what signs tokens (--secret): whoever knows the agents' secret can make load with them, and no more.
pub const OPTIONS: [&str; 15] = [
    "nodes",
    "spread",
    "room",
    "publications",
    "bytes",
    "rate",
    "outstanding",
    "deflate",
    "size",
    "bursts",
    "at-once",
    "seconds",
    "settle-s",
    "deadline-s",
    "role",
];

/// Options of the coordinator itself, which agents need not know.
const OWN: [&str; 7] = ["agents", "agents-deadline-s", "json", "html", "fail-if", "quiet", "token"];

/// Words of one order, and characters of one of them.
const WORDS_MAX: usize = 64;
const WORD_BYTES_MAX: usize = 16 << 10;

/// A scenario to be shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub scenario: String,
    /// Without what is shared and `role`, in the form `--name=value`.
    words: Vec<String>,
    /// The option that is shared, and the whole number.
    shared: &'static str,
    pub members: u64,
    has_role: bool,
    pub token: Option<String>,
}

/// Why a run cannot be shared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    #[error("{0} cannot be shared among agents; those that can: {known}", known = SCENARIOS.join(", "))]
    Scenario(String),
    #[error("--{0} does not go with --agents: agents run against nodes that are there (--nodes), and start and write nothing")]
    Option(String),
    #[error("--{shared} {members} cannot be shared among {agents} agents; each needs one at least")]
    TooFew { shared: &'static str, members: u64, agents: usize },
    #[error("{0} publishes, but has no --role by which one agent would do so and the others not")]
    NoRole(String),
    #[error("`{0}` is no option that agents allow")]
    Word(String),
    #[error("an order has at most {WORDS_MAX} words of {WORD_BYTES_MAX} bytes")]
    TooLong,
}

impl Order {
    /// From the scenario's own options, as clap has taken them in: `command` is the scenario's subcommand, `matches` what was given to it.
    /// Only what stands on the command line travels; defaults and the environment are each agent's own, except for the token.
    ///
    /// # Errors
    /// [`OrderError`] for scenarios and options that cannot be shared.
    pub fn of(command: &clap::Command, matches: &clap::ArgMatches) -> Result<Self, OrderError> {
        let scenario = command.get_name().to_owned();
        if !SCENARIOS.contains(&scenario.as_str()) {
            return Err(OrderError::Scenario(scenario));
        }
        let raw = |id: &str| -> Option<Vec<String>> {
            let values = matches.try_get_raw(id).ok()??;
            Some(values.map(|value| value.to_string_lossy().into_owned()).collect())
        };
        let mut order = Self { scenario, words: Vec::new(), shared: SHARED[0], members: 0, has_role: false, token: None };
        for arg in command.get_arguments() {
            let (id, Some(name)) = (arg.get_id().as_str(), arg.get_long()) else { continue };
            if let Some(shared) = SHARED.into_iter().find(|shared| *shared == name) {
                order.shared = shared;
                order.members = raw(id).and_then(|values| values.first()?.parse().ok()).unwrap_or(0);
                continue;
            }
            match name {
                "token" => order.token = raw(id).and_then(|values| values.first().cloned()),
                "role" => order.has_role = true,
                _ if matches.value_source(id) != Some(ValueSource::CommandLine) || OWN.contains(&name) => {}
                _ if !OPTIONS.contains(&name) => return Err(OrderError::Option(name.to_owned())),
                _ if !arg.get_action().takes_values() => order.words.push(format!("--{name}")),
                _ => order.words.push(format!("--{name}={}", raw(id).unwrap_or_default().join(","))),
            }
        }
        if !order.has_role && !SILENT.contains(&order.scenario.as_str()) {
            return Err(OrderError::NoRole(order.scenario));
        }
        Ok(order)
    }

    /// The name of the option that is shared.
    pub fn shared(&self) -> &'static str {
        self.shared
    }

    /// The command line of each of `agents`: the first publishes, all have their share of the members.
    ///
    /// # Errors
    /// [`OrderError::TooFew`] when an agent would have none.
    pub fn shares(&self, agents: usize) -> Result<Vec<Vec<String>>, OrderError> {
        let Self { shared, members, .. } = *self;
        let number = agents as u64;
        if number == 0 || members < number {
            return Err(OrderError::TooFew { shared, members, agents });
        }
        let share = |agent: u64| {
            let own = format!("--{shared}={}", members / number + u64::from(agent < members % number));
            let role = if agent == 0 { Role::Both } else { Role::Subscribe };
            let role = self.has_role.then(|| format!("--role={}", role.name()));
            [self.scenario.clone()].into_iter().chain(self.words.iter().cloned()).chain([own]).chain(role).collect()
        };
        Ok((0..number).map(share).collect())
    }
}

/// What an agent asks of a command line that came over the wire: a scenario of the list, and after it nothing but options of the list, each
/// one word.
///
/// # Errors
/// [`OrderError`] naming the first word that is not allowed.
pub fn check(words: &[String]) -> Result<(), OrderError> {
    if words.len() > WORDS_MAX || words.iter().any(|word| word.len() > WORD_BYTES_MAX) {
        return Err(OrderError::TooLong);
    }
    let [scenario, options @ ..] = words else { return Err(OrderError::Scenario("nothing".to_owned())) };
    if !SCENARIOS.contains(&scenario.as_str()) {
        return Err(OrderError::Scenario(scenario.clone()));
    }
    let is_allowed = |word: &&String| {
        let name = word.strip_prefix("--").map(|option| option.split_once('=').map_or(option, |(name, _)| name));
        name.is_some_and(|name| OPTIONS.contains(&name) || SHARED.contains(&name))
    };
    options.iter().find(|word| !is_allowed(word)).map_or(Ok(()), |word| Err(OrderError::Word(word.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> clap::Command {
        use clap::{Arg, ArgAction};
        clap::Command::new("fanout").args([
            Arg::new("nodes").long("nodes").value_delimiter(','),
            Arg::new("subscribers").long("subscribers").default_value("1000"),
            Arg::new("bytes").long("bytes").default_value("64"),
            Arg::new("deflate").long("deflate").action(ArgAction::SetTrue),
            Arg::new("token").long("token"),
            Arg::new("role").long("role").default_value("both"),
            Arg::new("gateway").long("gateway"),
            Arg::new("json").long("json"),
        ])
    }

    fn order(line: &str) -> Result<Order, OrderError> {
        Order::of(&command(), &command().get_matches_from(["fanout"].into_iter().chain(line.split_whitespace())))
    }

    #[test]
    fn each_agent_has_its_share_and_one_publishes() {
        let order = order("--nodes a:1,b:2 --subscribers 10 --deflate --token secret --json out.json").unwrap();
        assert_eq!(order.token.as_deref(), Some("secret"));
        let shares = order.shares(3).unwrap();
        assert_eq!(shares[0], ["fanout", "--nodes=a:1,b:2", "--deflate", "--subscribers=4", "--role=both"]);
        assert_eq!(shares[2], ["fanout", "--nodes=a:1,b:2", "--deflate", "--subscribers=3", "--role=subscribe"]);
        assert!(shares.iter().all(|words| check(words) == Ok(())), "what is sent is allowed");
        assert!(shares.iter().all(|words| clap_takes(words)));
    }

    fn clap_takes(words: &[String]) -> bool {
        command().try_get_matches_from(words).is_ok()
    }

    #[test]
    fn defaults_count_but_do_not_travel() {
        let order = order("").unwrap();
        assert_eq!((order.members, order.words.len()), (1_000, 0));
        assert_eq!(order.shares(1_001), Err(OrderError::TooFew { shared: "subscribers", members: 1_000, agents: 1_001 }));
        assert!(order.shares(0).is_err());
    }

    #[test]
    fn what_starts_processes_does_not_travel() {
        assert_eq!(order("--gateway /bin/sh"), Err(OrderError::Option("gateway".to_owned())));
        let other = clap::Command::new("slow");
        assert_eq!(Order::of(&other, &other.clone().get_matches_from(["slow"])), Err(OrderError::Scenario("slow".to_owned())));
    }

    #[test]
    fn who_publishes_must_have_roles_and_who_does_not_needs_none() {
        let order = |name: &'static str| {
            let command = clap::Command::new(name).arg(clap::Arg::new("sessions").long("sessions"));
            Order::of(&command, &command.clone().get_matches_from([name, "--sessions", "5"]))
        };
        assert_eq!(order("idle").unwrap().shares(2).unwrap(), [["idle", "--sessions=3"], ["idle", "--sessions=2"]]);
        assert_eq!(order("burst"), Err(OrderError::NoRole("burst".to_owned())));
    }

    #[test]
    fn agents_look_at_every_word() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(check(&words("fanout --subscribers=5 --deflate")), Ok(()));
        for word in ["--gateway=/bin/sh", "--json=/etc/passwd", "--pin=0", "-x", "--", "/bin/sh", "--subscribers5", "-subscribers=1", ""] {
            assert_eq!(check(&["fanout".to_owned(), word.to_owned()]), Err(OrderError::Word(word.to_owned())));
        }
        assert_eq!(check(&words("agent --listen=0.0.0.0:1")), Err(OrderError::Scenario("agent".to_owned())));
        assert!(check(&[]).is_err());
        assert_eq!(check(&vec!["fanout".to_owned(); WORDS_MAX + 1]), Err(OrderError::TooLong));
    }
}
