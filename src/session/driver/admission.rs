//! Getting in: credentials, the lease of a connection, the way into the org's hub, and the first subscriptions.
//!
//! The other half of [`super::Session`]: `perform` begins these steps and `finish` sees them to their end.

use std::future::Future;
use std::sync::Arc;

use super::{Done, Session};
use crate::auth::{Grant, Principal};
use crate::broker::LeaseOutcome;
use crate::hub::{Hub, OrgGone, OrgLink};
use crate::protocol::command::{CommandId, Subscribe, Wanted};
use crate::protocol::push::Answer;
use crate::protocol::{Close, CloseCode, Code, Fault, OrgId, Position};
use crate::session::machine::Start;
use crate::telemetry::metrics::{self, QuotaKind};

pub(super) struct Verified {
    id: Option<CommandId>,
    subscribe: Subscribe,
    verdict: Result<Principal, Fault>,
}

/// Why a session did not get into its org.
pub(super) enum Refusal {
    /// The org has its full number of connections; the command that asked, if one did.
    Full(Option<CommandId>),
    /// The log cannot be read, and the client wants to know what stands in it; it is told so.
    Unread(Box<Answer>),
    Gone,
}

/// Why a session was not subscribed.
pub(super) enum Unbegun {
    Unread(Box<Answer>),
    Gone,
}

impl From<OrgGone> for Unbegun {
    fn from(OrgGone: OrgGone) -> Self {
        Self::Gone
    }
}

impl From<Unbegun> for Refusal {
    fn from(unbegun: Unbegun) -> Self {
        match unbegun {
            Unbegun::Unread(answer) => Self::Unread(answer),
            Unbegun::Gone => Self::Gone,
        }
    }
}

impl Session {
    pub(super) fn verify(&mut self, id: Option<CommandId>, token: String, subscribe: Subscribe) {
        let parts = Arc::clone(&self.parts);
        self.pending = Some(Box::pin(async move {
            let verdict = parts.verifier.verify(&token, parts.now().unix_ms / 1_000).await.map_err(Fault::from);
            Done::Verified(Box::new(Verified { id, subscribe, verdict }))
        }));
    }

    /// Takes a lease on a connection of the org, enters the hub, and subscribes.
    pub(super) fn open(&mut self, principal: &Arc<Principal>, grants: Vec<Grant>, from: Start, answer: Answer) {
        if !self.is_welcome(principal, &answer) {
            return;
        }
        self.claim_quotas(principal);
        let (parts, session, org) = (Arc::clone(&self.parts), self.machine.id(), principal.org().clone());
        let (queue, wire, principal) = (Arc::clone(&self.entry.queue), Arc::clone(&self.language.wire), Arc::clone(principal));
        // A guest who shows credentials leaves the guests' org first.
        let earlier = self.link.take();
        self.is_leased &= earlier.is_none();
        self.pending = Some(Box::pin(async move {
            if let Some(link) = earlier {
                let org = link.org().clone();
                link.detach().await;
                parts.broker.release_connection(&org).await;
            }
            let most = match parts.quotas.of(&org).sessions_max {
                0 => parts.settings.org_connections_max,
                own => own,
            };
            if parts.broker.lease_connection(&org, most).await == LeaseOutcome::Full {
                metrics::quota_refusals(QuotaKind::Sessions).increment(1);
                return Done::Opened(Err(Refusal::Full(answer.id)));
            }
            let (since, answer) = match begun(&parts.hub, &org, from, answer).await {
                Ok(begun) => begun,
                Err(unbegun) => return Done::Opened(Err(unbegun.into())),
            };
            let entered = async {
                let link = parts.hub.attach(&org, session, &queue, &wire).await?;
                parts.hub.note_opened(&org, session, principal.sub());
                link.subscribe(grants, since, answer).await.map(|()| link)
            };
            Done::Opened(entered.await.map_err(|OrgGone| Refusal::Gone))
        }));
    }

    pub(super) fn renew(&mut self, principal: Arc<Principal>, grants: Vec<Grant>, from: Start, answer: Answer) {
        if self.link.is_some() && self.is_welcome(&principal, &answer) {
            self.claim_quotas(&principal);
            let hub = Arc::clone(&self.parts.hub);
            self.enroll(|link| async move {
                link.narrow(principal).await?;
                let (since, answer) = begun(&hub, link.org(), from, answer).await?;
                Ok(link.subscribe(grants, since, answer).await?)
            });
        }
    }

    fn claim_quotas(&self, principal: &Principal) {
        self.parts.quotas.claim(principal.org(), principal.quotas(), principal.issued_at_s().unwrap_or(0));
    }

    /// Notes who the session is; answers and closes when that was revoked.
    fn is_welcome(&self, principal: &Arc<Principal>, answer: &Answer) -> bool {
        let Err(fault) = self.parts.registry.introduce(&self.entry, principal) else { return true };
        self.answer(&Answer::error(answer.id.clone(), fault));
        self.entry.queue.close(Close::because(CloseCode::Revoked, Code::AuthFailed));
        false
    }

    pub(super) fn verified(&mut self, verified: Verified) {
        let Verified { id, subscribe, verdict } = verified;
        let mut actions = Vec::new();
        let (parts, language, now) = (Arc::clone(&self.parts), Arc::clone(&self.language), self.parts.now());
        let verdict = verdict.and_then(|principal| parts.registry.is_informed(now.mono_ms).map(|()| principal));
        self.log_verdict(&verdict);
        self.machine.on_verified(id, &subscribe, verdict, &parts.terms(&language), now, &mut actions);
        self.perform(actions);
    }

    /// For whoever looks into an abuse: who came in, and whose credentials were refused for what. Never the credentials.
    pub(super) fn log_verdict(&self, verdict: &Result<Principal, Fault>) {
        let session = self.id();
        match verdict {
            Ok(principal) => tracing::debug!(%session, user = principal.sub(), org = %principal.org(), "good credentials"),
            Err(fault) => tracing::debug!(%session, code = fault.code.as_str(), why = &*fault.message, "refused credentials"),
        }
    }

    pub(super) fn opened(&mut self, outcome: Result<OrgLink, Refusal>) {
        let refusal = match outcome {
            Ok(link) => {
                (self.is_leased, self.link) = (true, Some(link));
                return;
            }
            Err(refusal) => refusal,
        };
        let wait_ms = rand::random_range(1_000..=5_000);
        let close = match refusal {
            Refusal::Full(id) => {
                let fault = Fault::new(Code::ConnectionLimit, "the organization has its full number of connections");
                self.answer(&Answer::error(id, fault.retry_after_ms(wait_ms)));
                Close::because(CloseCode::ConnectionLimit, Code::ConnectionLimit)
            }
            Refusal::Unread(answer) => {
                self.is_leased = true;
                self.answer(&answer);
                Close::because(CloseCode::BrokerUnavailable, Code::BrokerUnavailable)
            }
            Refusal::Gone => {
                self.is_leased = true;
                Close::because(CloseCode::InternalError, Code::InternalError)
            }
        };
        self.entry.queue.close(close.retry_after_ms(wait_ms));
    }

    pub(super) fn subscribe(&mut self, grants: Vec<Grant>, from: Start, answer: Answer, instead_of: Vec<Wanted>) {
        let hub = Arc::clone(&self.parts.hub);
        self.enroll(|link| async move {
            let (since, answer) = begun(&hub, link.org(), from, answer).await?;
            link.subscribe(grants, since, answer).await?;
            if instead_of.is_empty() { Ok(()) } else { Ok(link.unsubscribe(instead_of, None).await?) }
        });
    }

    /// Subscribes to something; where it cannot begin the client is told so, and nothing was subscribed to.
    fn enroll<F>(&mut self, ask: impl FnOnce(OrgLink) -> F)
    where
        F: Future<Output = Result<(), Unbegun>> + Send + 'static,
    {
        if let Some(link) = &self.link {
            let asked = ask(link.clone());
            self.pending = Some(Box::pin(async move {
                match asked.await {
                    Ok(()) => Done::Settled(Ok(())),
                    Err(Unbegun::Gone) => Done::Settled(Err(OrgGone)),
                    Err(Unbegun::Unread(answer)) => Done::Answered(answer),
                }
            }));
        }
    }
}

/// Where the subscriptions begin, and the answer with what was asked of their rooms.
async fn begun(hub: &Hub, org: &OrgId, from: Start, answer: Answer) -> Result<(Option<Position>, Answer), Unbegun> {
    match from {
        Start::Now => Ok((None, answer)),
        Start::After(since) => Ok((Some(since), answer)),
        Start::Latest(wishes) => match hub.latest().ask(org, wishes).await {
            Ok((latest, at)) => Ok((Some(at), answer.with_latest(latest))),
            Err(error) => {
                tracing::debug!(%error, "the last publications of rooms could not be read");
                let text = "the last publications cannot be read at the moment, so nothing was subscribed to";
                let fault = Fault::new(Code::BrokerUnavailable, text).retry_after_ms(1_000);
                Err(Unbegun::Unread(Box::new(Answer::error(answer.id, fault))))
            }
        },
    }
}
