//! Questions for the whole cluster: asked over the broker's control topic, answered by every node, gathered within a time limit; and
//! errands of clients whose requests came to another node than holds their sessions ([`errand`]).
//!
//! Routes call [`Cluster::gather`]; [`answer_notes`] runs beside the node and serves other nodes' questions. A node that does not
//! answer in time is named in `partial`, so that an incomplete answer never looks complete.

pub mod errand;
mod local;
mod note;
mod sketch;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use uuid::Uuid;

pub(super) use note::{Answer, Question};
pub(super) use sketch::Sketch;

use self::note::{Content, Note};
use super::Parts;
use super::problem::Problem;
use crate::broker::ControlMessage;
use crate::protocol::{Code, Fault};
use crate::telemetry::metrics;

/// Questions of this node that wait for answers at a time.
const QUESTIONS_MAX: usize = 1_024;
/// Nodes whose answers are waited for.
const NODES_MAX: usize = 1_024;
/// Questions of other nodes that are answered at a time; more are left to the askers' time limits.
const ANSWERS_MAX: usize = 32;
/// Errands for other nodes that are run at a time. Most of them wait for something to happen.
const ERRANDS_MAX: usize = 4_096;

/// Questions under way, and the nodes that were last known.
#[derive(Default)]
pub struct Cluster {
    waiting: Mutex<HashMap<Uuid, mpsc::Sender<(String, Answer)>>>,
    known: Mutex<BTreeSet<String>>,
}

/// What the nodes said, and which of them said nothing.
pub(super) struct Gathered<T> {
    pub answers: Vec<T>,
    /// Ids of nodes that did not answer.
    pub partial: Vec<String>,
    /// Whether the broker could say which nodes there are; otherwise those were asked that were last known.
    pub all_known: bool,
}

/// A question under way; it is forgotten when dropped, at whatever point its request ends.
struct Waiting<'a> {
    cluster: &'a Cluster,
    id: Uuid,
    answers: mpsc::Receiver<(String, Answer)>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.cluster.waiting.lock().remove(&self.id);
    }
}

impl Cluster {
    /// Asks this node and all others, or only the one named `node`. `pick` takes the kind of answer that fits the question, and
    /// as soon as one is `enough` no further ones are waited for.
    ///
    /// # Errors
    /// 404 when no node has that name; `RATE_LIMIT_EXCEEDED` when too many questions are under way.
    pub(super) async fn gather<T>(
        parts: &Parts,
        question: Question,
        node: Option<&str>,
        pick: impl Fn(Answer) -> Option<T>,
        enough: impl Fn(&T) -> bool,
    ) -> Result<Gathered<T>, Problem> {
        let cluster = &parts.cluster;
        let (mut others, all_known) = cluster.others(parts).await;
        let own = node.is_none_or(|node| node == parts.node.id);
        if let Some(node) = node {
            if !own && all_known && !others.contains(node) {
                return Err(Problem::not_found("there is no node of this name"));
            }
            others.retain(|other| other == node);
            if !own {
                others.insert(node.to_owned());
            }
        }
        let mut answers = Vec::new();
        if own {
            answers.extend(pick(local::answer(parts, &question).await));
        }
        if others.is_empty() || answers.iter().any(&enough) {
            return Ok(Gathered { answers, partial: Vec::new(), all_known });
        }
        let Some(waiting) = cluster.ask(parts, question, node).await? else {
            return Ok(Gathered { answers, partial: others.into_iter().collect(), all_known });
        };
        let within = Duration::from_millis(parts.config.scatter_timeout_ms);
        let partial = waiting.collect(within, others, pick, enough, &mut answers).await;
        Ok(Gathered { answers, partial, all_known })
    }

    /// The other nodes, and whether the broker said so just now; with the broker away it is those that were last known.
    async fn others(&self, parts: &Parts) -> (BTreeSet<String>, bool) {
        match parts.broker.nodes().await {
            Ok(nodes) => {
                let ids = nodes.into_iter().map(|node| node.id).filter(|id| *id != parts.node.id);
                let others: BTreeSet<String> = ids.take(NODES_MAX).collect();
                self.known.lock().clone_from(&others);
                (others, true)
            }
            Err(_) => (self.known.lock().clone(), false),
        }
    }

    /// Sends the question; `None` when it cannot be sent, so that nobody will answer.
    async fn ask<'a>(&'a self, parts: &Parts, question: Question, node: Option<&str>) -> Result<Option<Waiting<'a>>, Problem> {
        let id = Uuid::new_v4();
        let (sender, answers) = mpsc::channel(NODES_MAX);
        {
            let mut waiting = self.waiting.lock();
            if waiting.len() >= QUESTIONS_MAX {
                let fault = Fault::new(Code::RateLimitExceeded, "too many questions to the cluster are under way");
                return Err(fault.retry_after_ms(parts.config.scatter_timeout_ms).into());
            }
            waiting.insert(id, sender);
        }
        let waiting = Waiting { cluster: self, id, answers };
        let Some(bytes) = Note::new(&parts.node.id, id, Content::Question(question)).encode() else { return Ok(None) };
        let sent = parts.broker.send_control(node, ControlMessage(bytes)).await;
        Ok(sent.is_ok().then_some(waiting))
    }

    fn take_in(&self, id: Uuid, from: String, answer: Answer) {
        let sender = self.waiting.lock().get(&id).cloned();
        if let Some(sender) = sender {
            // A full channel holds an answer from as many nodes as may be expected; whatever is beyond was not asked for.
            let _ = sender.try_send((from, answer));
        }
    }
}

impl Waiting<'_> {
    /// Waits for the nodes in `missing`; those that said nothing that fits are returned.
    async fn collect<T>(
        mut self,
        within: Duration,
        mut missing: BTreeSet<String>,
        pick: impl Fn(Answer) -> Option<T>,
        enough: impl Fn(&T) -> bool,
        answers: &mut Vec<T>,
    ) -> Vec<String> {
        let deadline = Instant::now() + within;
        while !missing.is_empty() {
            let Ok(Some((from, answer))) = tokio::time::timeout_at(deadline, self.answers.recv()).await else { break };
            let Some(answer) = pick(answer).filter(|_| missing.remove(&from)) else { continue };
            let last = enough(&answer);
            answers.push(answer);
            if last {
                return Vec::new();
            }
        }
        missing.into_iter().collect()
    }
}

/// Reads the notes to this node and answers their questions, until the broker ends. Runs beside the node.
pub async fn answer_notes(parts: Arc<Parts>) {
    let mut notes = parts.broker.control();
    let (free, free_for_errands) = (Arc::new(Semaphore::new(ANSWERS_MAX)), Arc::new(Semaphore::new(ERRANDS_MAX)));
    while let Some(ControlMessage(bytes)) = notes.recv().await {
        let Some(note) = Note::decode(&bytes) else {
            metrics::notes_ignored().increment(1);
            continue;
        };
        if note.from == parts.node.id {
            continue;
        }
        match note.content {
            Content::Answer(answer) => parts.cluster.take_in(note.id, note.from, answer),
            Content::Question(question) => {
                let free = if matches!(question, Question::Errand(_)) { &free_for_errands } else { &free };
                match Arc::clone(free).try_acquire_owned() {
                    Ok(permit) => {
                        let parts = Arc::clone(&parts);
                        tokio::spawn(async move {
                            reply(&parts, note.id, &note.from, &question).await;
                            drop(permit);
                        });
                    }
                    Err(_) => metrics::notes_ignored().increment(1),
                }
            }
        }
    }
}

/// Answers within the time for which the asker waits, or not at all.
async fn reply(parts: &Parts, id: Uuid, to: &str, question: &Question) {
    let patience = if let Question::Errand(errand) = question { parts.http_sessions.patience(errand) } else { Duration::ZERO };
    let limit = Duration::from_millis(parts.config.scatter_timeout_ms) + patience;
    let answered = tokio::time::timeout(limit, async {
        let answer = local::answer(parts, question).await;
        if let Some(bytes) = Note::new(&parts.node.id, id, Content::Answer(answer)).encode() {
            // An answer that cannot be sent makes this node a missing one, which the asker tells.
            let _ = parts.broker.send_control(Some(to), ControlMessage(bytes)).await;
        }
    });
    if answered.await.is_err() {
        tracing::debug!(%id, to, "a question of another node was not answered in time");
    }
}
