//! `GET /explain`: why a session got a publication, or did not, asked after the fact.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::cluster::{Answer, Cluster, Question};
use super::extract::{Authorized, Connections, Query};
use super::openapi::Problems;
use super::page;
use super::problem::Problem;
use super::{Api, Parts};
use crate::broker::{Body, Broker, PageLimit};
use crate::hub::explain::Explained;
use crate::hub::trace::{Event, What};
use crate::protocol::{Code, Fault, Filter, OrgId, Pattern, Position, Publication, SessionId};

/// The latest changes of a session that are told.
const HISTORY_MAX: usize = 50;
/// Reading one entry takes no more than one entry has.
const ONE: PageLimit = PageLimit { entries: 1, bytes: 1 };

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// The publication's `id`.
    #[param(value_type = String)]
    message: Position,
    /// The session in question; either this or `user`.
    #[param(value_type = Option<String>)]
    session: Option<SessionId>,
    /// The user in question: all sessions of theirs that are remembered.
    user: Option<String>,
    /// The org; callers of one org may leave it out.
    organization_id: Option<String>,
    /// Only this node's sessions.
    node: Option<String>,
    /// Most sessions to tell of.
    limit: Option<usize>,
}

/// What is known of the publication.
#[derive(Serialize, ToSchema)]
pub(super) struct Message {
    #[schema(value_type = String, example = "19c51a3f0-2a-64e0c1b2a3f4e")]
    id: Position,
    /// `logged`; or why nothing can be said of sessions: `not_logged`, `trimmed`, `other_log`, `replaced`, `no_publication`.
    #[schema(example = "logged")]
    state: &'static str,
    /// The same for people.
    explanation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
}

/// What became of it for one session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct SessionAccount {
    #[schema(example = "0193a1f2c0de7a5b8c3d4e5f60718293")]
    pub session_id: String,
    /// The node that has or had the session.
    pub node: String,
    /// `written`, `overtook`, `waiting`, `handed_over`, `lagging`, `gap`, `conflated`, `expired`, `filtered`, `unsubscribed_before`, `subscribed_later`,
    /// `ended_before` or `no_match`; more may come.
    #[schema(example = "written")]
    pub verdict: String,
    /// The same for people.
    pub explanation: String,
    /// Where the message asks to be acknowledged; null for others, and once its deadline is over.
    #[serde(default)]
    pub ack: Option<Acknowledgement>,
    /// The session's subscriptions that it reaches, those that had ended among them.
    pub subscriptions: Vec<String>,
    /// Whether the session's token would allow it to subscribe to the room; null for one that has ended.
    pub granted: Option<bool>,
    /// The latest changes of the session that are remembered, the oldest first.
    pub history: Vec<Change>,
}

/// Whether the session has acknowledged the message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Acknowledgement {
    /// `awaited`, `acked`, or `expired` where the session ended before or it was given up.
    #[schema(example = "awaited")]
    pub state: String,
    /// How often the message was sent to the session again.
    pub redelivered: u32,
}

/// One change of a session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Change {
    /// Unix milliseconds, by the node's clock.
    pub at_ms: u64,
    /// How far in the log the session had been served by then: the number of an entry.
    pub seq: u64,
    #[schema(example = "subscribed to kpi:acme, from behind number 41 on")]
    pub what: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ExplainAnswer {
    success: bool,
    #[schema(value_type = String, example = "acme")]
    organization_id: OrgId,
    message: Message,
    /// Empty when no node that answered remembers the session or the user.
    sessions: Vec<SessionAccount>,
    /// There are further sessions than these; ask for single ones.
    more: bool,
    /// Nodes that did not answer; what only they know is missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    partial: Vec<String>,
}

/// Explain a delivery
///
/// Why a session got a logged publication or did not: from the log, from what nodes remember of the session, and from where it stands now. Needs
/// the scope `connections`.
#[utoipa::path(get, path = "/api/ws/explain", operation_id = "explain", tag = "connections", params(Asked),
    security(("bearer" = ["connections"]), ("api_key" = [])), responses((status = 200, body = ExplainAnswer), Problems))]
pub(super) async fn explain(
    State(api): State<Arc<Api>>,
    caller: Authorized<Connections>,
    Query(asked): Query<Asked>,
) -> Result<Json<ExplainAnswer>, Problem> {
    let who = match (asked.session, asked.user) {
        (Some(session), None) => Who::Session(session),
        (None, Some(user)) => Who::User(user),
        _ => return Err(Problem::invalid("name either a session or a user")),
    };
    let limit = page::limit(asked.limit, &api.parts.config)?;
    let org = caller.one_org(asked.organization_id.as_deref())?;
    let found = Found::read(&*api.parts.broker, &org, asked.message).await?;
    let mut answer = ExplainAnswer {
        success: true,
        message: Message {
            id: asked.message,
            state: found.state(),
            explanation: found.sentence(),
            room: found.publication().map(|publication| publication.room.to_string()),
            event: found.publication().map(|publication| publication.event.to_string()),
        },
        organization_id: org,
        sessions: Vec::new(),
        more: false,
        partial: Vec::new(),
    };
    if found.publication().is_some() {
        let is_one = matches!(who, Who::Session(_));
        let scope = caller.reach(Some(answer.organization_id.as_str()))?.into();
        let question = Question::Explain { org: scope, message: asked.message, who, limit };
        let pick = |answer| if let Answer::Explained(accounts) = answer { Some(accounts) } else { None };
        let enough = |accounts: &Accounts| is_one && !accounts.items.is_empty();
        let gathered = Cluster::gather(&api.parts, question, asked.node.as_deref(), pick, enough).await?;
        answer.more = gathered.answers.iter().any(|accounts| accounts.more);
        answer.sessions = gathered.answers.into_iter().flat_map(|accounts| accounts.items).collect();
        answer.more |= answer.sessions.len() > limit;
        answer.sessions.truncate(limit);
        answer.partial = gathered.partial;
    }
    Ok(Json(answer))
}

/// What one node has to say.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Accounts {
    items: Vec<SessionAccount>,
    /// There are more than could be told.
    more: bool,
}

impl Accounts {
    /// Gives up half; `false` when there is nothing to give up.
    pub fn halve(&mut self) -> bool {
        let half = self.items.len() / 2;
        self.items.truncate(half);
        self.more = true;
        half > 0
    }
}

/// Whose sessions are meant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Who {
    Session(SessionId),
    User(String),
}

/// A position, looked up in the org's log.
enum Found {
    Publication(Arc<Publication>),
    /// A fence, or what somebody else wrote.
    NoPublication,
    NotLogged,
    Trimmed,
    OtherLog,
    Replaced,
}

impl Found {
    /// # Errors
    /// `BROKER_UNAVAILABLE` when the log cannot be read.
    async fn read(broker: &dyn Broker, org: &OrgId, at: Position) -> Result<Self, Fault> {
        let unavailable = |_| Fault::new(Code::BrokerUnavailable, "the log cannot be read at the moment").retry_after_ms(1_000);
        let states = broker.probe(std::slice::from_ref(org)).await.map_err(unavailable)?;
        let Some(last) = states.into_iter().next().flatten() else { return Ok(Self::NotLogged) };
        if last.epoch != at.epoch {
            return Ok(Self::OtherLog);
        }
        if at.seq > last.seq || at.seq == 0 {
            return Ok(Self::NotLogged);
        }
        let page = broker.read(org, at.seq, ONE).await.map_err(unavailable)?;
        Ok(match page.entries.into_iter().next() {
            Some(entry) if entry.position == at => match entry.body {
                Body::Publication(publication) => Self::Publication(publication),
                Body::Fence(_) | Body::Newer | Body::Malformed => Self::NoPublication,
            },
            Some(entry) if entry.position.seq == at.seq => Self::Replaced,
            Some(_) | None => Self::Trimmed,
        })
    }

    fn publication(&self) -> Option<&Arc<Publication>> {
        match self {
            Self::Publication(publication) => Some(publication),
            _ => None,
        }
    }

    fn state(&self) -> &'static str {
        match self {
            Self::Publication(_) => "logged",
            Self::NoPublication => "no_publication",
            Self::NotLogged => "not_logged",
            Self::Trimmed => "trimmed",
            Self::OtherLog => "other_log",
            Self::Replaced => "replaced",
        }
    }

    fn sentence(&self) -> &'static str {
        match self {
            Self::Publication(_) => "it stands in the org's log",
            Self::NoPublication => "what stands at this place in the log is no publication, and reaches nobody",
            Self::NotLogged => "the org's log has not come to this number: it was never logged, or another Redis or org is meant",
            Self::Trimmed => "the log no longer holds it (retention), so whom it reached cannot be recomputed",
            Self::OtherLog => "it is of a log that is gone: the org's log was lost and begun anew since",
            Self::Replaced => "another publication stands at its place: a replica that lagged was promoted, and it was lost",
        }
    }
}

/// What this node has to say of the sessions, for its own callers and for other nodes.
pub(super) async fn accounts(parts: &Parts, org: Option<&OrgId>, message: Position, who: &Who, limit: usize) -> Accounts {
    let Some(org) = org else { return Accounts::default() };
    let Ok(Found::Publication(publication)) = Found::read(&*parts.broker, org, message).await else { return Accounts::default() };
    let limit = limit.min(parts.config.list_limit_max);
    let is_theirs = |entry: &crate::session::registry::Entry, user: &str| {
        entry.principal().is_some_and(|principal| principal.org() == org && principal.sub() == user)
    };
    let mut more = false;
    let sessions = match who {
        Who::Session(session) => vec![*session],
        Who::User(user) => {
            let open = parts.registry.list(None, limit + 1, |entry| is_theirs(entry, user)).into_iter().map(|entry| entry.id);
            let mut sessions: Vec<SessionId> = open.chain(parts.hub.remembered(org, user, limit + 1)).collect();
            sessions.sort_unstable();
            sessions.dedup();
            more = sessions.len() > limit;
            sessions.truncate(limit);
            sessions
        }
    };
    let explained = parts.hub.explain(&publication, message, sessions).await;
    let account = |(session, explained, events): (_, _, Vec<_>)| account(parts, &publication, session, &explained, &events);
    Accounts { items: explained.into_iter().map(account).collect(), more }
}

fn account(parts: &Parts, publication: &Publication, session: SessionId, explained: &Explained, events: &[Event]) -> SessionAccount {
    let principal = parts.registry.find(session).and_then(|entry| entry.principal());
    let room = Pattern::of_room(&publication.room);
    let shown = &events[events.len().saturating_sub(HISTORY_MAX)..];
    SessionAccount {
        session_id: session.to_string(),
        node: parts.node.id.clone(),
        verdict: explained.verdict.as_str().to_owned(),
        explanation: explained.verdict.sentence().to_owned(),
        ack: explained.ack.map(|ack| Acknowledgement { state: ack.state.as_str().to_owned(), redelivered: ack.redelivered }),
        subscriptions: explained.reached.iter().map(|(pattern, filter)| with_filter(pattern, filter.as_ref())).collect(),
        granted: principal.map(|principal| principal.grant_subscribe(room).is_ok()),
        history: shown.iter().map(Change::of).collect(),
    }
}

fn with_filter(pattern: &Pattern, filter: Option<&Filter>) -> String {
    filter.map_or_else(|| pattern.to_string(), |filter| format!("{pattern} where {}", filter.as_str()))
}

impl Change {
    fn of(event: &Event) -> Self {
        let what = match &event.what {
            What::Opened { user } => format!("opened by {user}"),
            What::Subscribed { pattern, filter, from_seq } => {
                format!("subscribed to {}, from behind number {from_seq} on", with_filter(pattern, filter.as_ref()))
            }
            What::Unsubscribed { pattern, filter } => format!("unsubscribed from {}", with_filter(pattern, filter.as_ref())),
            What::Resumed { from } => format!("resumed from {from}"),
            What::Lagging => "its send queue overflowed, so it is caught up from the log".to_owned(),
            What::CaughtUp => "caught up with the log".to_owned(),
            What::Gap(gap) => {
                let from = gap.from.map_or_else(|| "an unknown place".to_owned(), |from| from.to_string());
                format!("was told a gap ({}) from {from} to {}", gap.reason.as_str(), gap.to)
            }
            What::LeftOut { seqs } => format!("{} publications of low priority gave way to later ones", seqs.len()),
            What::Ended { code: None, .. } => "ended".to_owned(),
            What::Ended { code: Some(code), .. } => format!("was closed with {code}"),
        };
        Self { at_ms: event.at_us / 1_000, seq: event.place.seq, what }
    }
}
