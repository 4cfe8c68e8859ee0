use super::*;
use proptest::prelude::*;
use serde_json::json;

fn syntax() -> RoomSyntax {
    RoomSyntax::new(4, ["kpi", "chat"])
}

fn acme() -> OrgId {
    OrgId::parse("acme").unwrap()
}

fn alice(claim: impl Into<Option<Value>>) -> Principal {
    let grants = GrantList::read(claim.into().as_ref(), &[], &acme(), &syntax()).unwrap();
    Principal::new("alice", &acme(), 1).unwrap().with_grants(grants)
}

fn subscribes(principal: &Principal, pattern: &str) -> bool {
    let outcome = principal.grant_subscribe(syntax().pattern(pattern).unwrap());
    if let Err(fault) = &outcome {
        assert_eq!(fault.code, Code::Unauthorized);
        assert!(fault.message.contains(syntax().pattern(pattern).unwrap().as_str()));
    }
    outcome.is_ok()
}

fn publishes(principal: &Principal, room: &str) -> bool {
    principal.may_publish(&syntax().room(room).unwrap()).is_ok()
}

#[test]
fn without_a_claim_one_reads_ones_own_org_and_writes_nothing() {
    let alice = alice(None);
    for own in ["*:acme:**", "kpi:acme", "chat:acme:*:x", "org:acme", "user:acme:alice"] {
        assert!(subscribes(&alice, own), "{own}");
    }
    for foreign in ["*:other:**", "kpi:other", "org:other", "user:other:alice", "user:acme:bob", "user:acme:alice2"] {
        assert!(!subscribes(&alice, foreign), "{foreign}");
    }
    assert!(!publishes(&alice, "kpi:acme"));
    assert!(alice.may(Right::History, &syntax().pattern("kpi:acme").unwrap()).is_err());
}

#[test]
fn listed_grants_replace_the_default() {
    let alice = alice(Some(json!([{"pattern": "kpi:acme:sales", "rights": ["subscribe", "publish"]}, "publish:chat:acme:*"])));
    assert!(subscribes(&alice, "kpi:acme:sales:support"));
    assert!(!subscribes(&alice, "kpi:acme"));
    assert!(!subscribes(&alice, "chat:acme:x"));
    assert!(publishes(&alice, "kpi:acme:sales:support"));
    assert!(publishes(&alice, "chat:acme:x"));
    assert!(!publishes(&alice, "chat:acme"));
    assert!(subscribes(&alice, "org:acme") && subscribes(&alice, "user:acme:alice"));
}

#[test]
fn an_empty_list_grants_nothing_but_ones_own_rooms() {
    let alice = alice(Some(json!([])));
    assert!(!subscribes(&alice, "kpi:acme"));
    assert!(subscribes(&alice, "user:acme:alice"));
}

#[test]
fn other_users_rooms_need_a_grant_by_name() {
    assert!(!subscribes(&alice(Some(json!(["subscribe:*:acme:**"]))), "user:acme:bob"));
    assert!(subscribes(&alice(Some(json!(["subscribe:user:acme:bob"]))), "user:acme:bob"));
    assert!(!publishes(&alice(Some(json!(["publish:*:acme:**"]))), "org:acme"));
    assert!(publishes(&alice(Some(json!(["publish:org:acme"]))), "org:acme"));
}

#[test]
fn cascade_needs_everything_below() {
    let room = syntax().room("chat:acme:x").unwrap();
    assert!(alice(Some(json!(["publish:chat:acme:*"]))).may_cascade(&room).is_err());
    assert!(alice(Some(json!(["publish:chat:acme"]))).may_cascade(&room).is_ok());
}

#[test]
fn roles_add_to_the_default_and_to_the_claim() {
    let added = ["publish:chat:acme".to_owned()];
    let with_default = GrantList::read(None, &added, &acme(), &syntax()).unwrap();
    let alice = Principal::new("alice", &acme(), 1).unwrap().with_grants(with_default);
    assert!(subscribes(&alice, "kpi:acme") && publishes(&alice, "chat:acme"));
    let claimed = GrantList::read(Some(&json!([])), &added, &acme(), &syntax()).unwrap();
    let alice = alice.with_grants(claimed);
    assert!(!subscribes(&alice, "kpi:acme") && publishes(&alice, "chat:acme"));
}

#[test]
fn what_is_no_grant_is_refused_with_its_reason() {
    let read = |claim: Value| GrantList::read(Some(&claim), &[], &acme(), &syntax()).unwrap_err();
    for not_a_list in [json!(null), json!("subscribe:kpi:acme"), json!({}), json!(1), json!(true)] {
        assert_eq!(read(not_a_list), GrantError::NotAList);
    }
    for malformed in [
        json!(["fly:kpi:acme"]),
        json!(["subscribe"]),
        json!(["subscribe:"]),
        json!(["subscribe:kpi:*"]),
        json!(["subscribe:nope:acme"]),
        json!([1]),
        json!([null]),
        json!([["subscribe:kpi:acme"]]),
        json!([{"pattern": "kpi:acme"}]),
        json!([{"pattern": "kpi:acme", "rights": "subscribe"}]),
        json!([{"pattern": "kpi:acme", "rights": ["fly"]}]),
        json!([{"pattern": "kpi:acme", "rights": [], "more": 1}]),
    ] {
        assert!(matches!(read(malformed.clone()), GrantError::Malformed { index: 0, .. }), "{malformed}");
    }
    assert_eq!(read(json!(["subscribe:kpi:acme", "subscribe:kpi:other"])), GrantError::ForeignOrg { index: 1 });
    assert_eq!(read(Value::Array(vec![json!("subscribe:kpi:acme"); GRANTS_MAX + 1])), GrantError::TooMany);
}

fn history(principal: &Principal, pattern: &str) -> Option<Option<String>> {
    let granted = principal.grant_history(syntax().pattern(pattern).unwrap()).ok()?;
    Some(granted.filter(None).map(|filter| filter.as_str().to_owned()))
}

fn subscribed(principal: &Principal, pattern: &str) -> Option<String> {
    let grant = principal.grant_subscribe(syntax().pattern(pattern).unwrap()).unwrap();
    grant.filter().map(|filter| filter.as_str().to_owned())
}

#[test]
fn a_grant_with_a_filter_lets_through_no_more() {
    let alice = alice(Some(json!([
        {"pattern": "kpi:acme", "rights": ["subscribe", "history"], "filter": "region = 'eu'"},
        "subscribe:kpi:acme:sales where level >= 3",
        "subscribe:kpi:acme:sales:support",
    ])));
    assert_eq!(subscribed(&alice, "kpi:acme").as_deref(), Some("region = 'eu'"));
    assert_eq!(subscribed(&alice, "kpi:acme:sales").as_deref(), Some("level >= 3 or region = 'eu'"));
    assert_eq!(subscribed(&alice, "kpi:acme:sales:support"), None);
    assert_eq!(subscribed(&alice, "user:acme:alice"), None);
    assert_eq!(history(&alice, "kpi:acme:x"), Some(Some("region = 'eu'".to_owned())));
    assert_eq!(history(&alice, "chat:acme"), None);
    assert_eq!(history(&alice, "user:acme:alice"), None, "the past of one's own rooms is granted separately too");
    assert!(alice.may(Right::Subscribe, &syntax().pattern("kpi:acme").unwrap()).is_err(), "not without the filter");

    let grant = alice.grant_subscribe(syntax().pattern("kpi:acme").unwrap()).unwrap();
    let asked = grant.filtered(Some(Filter::parse("a = 1 or true_ = 1").unwrap()));
    assert_eq!(asked.filter().unwrap().as_str(), "(a = 1 or true_ = 1) and region = 'eu'");
    assert_eq!(alice.grant_again(&asked).unwrap(), asked);
    let wider = alice.clone().with_grants(GrantList::OWN_ORG).grant_again(&asked).unwrap();
    assert_eq!(wider.filter().as_ref(), asked.asked());
}

#[test]
fn what_is_followed_by_itself_passes_the_filters_too() {
    let alice = alice(Some(json!([
        {"pattern": "kpi:acme", "rights": ["subscribe"], "filter": "region = 'eu'"},
        "subscribe:kpi:acme:sales",
        "subscribe:kpi:acme:x where region = 'eu'",
    ])));
    let followed: Vec<_> = alice.subscribable().iter().map(|grant| (grant.pattern().to_string(), grant.filter())).collect();
    let eu = Filter::parse("region = 'eu'").ok();
    assert_eq!(followed, [("kpi:acme".to_owned(), eu.clone()), ("kpi:acme:sales".to_owned(), None)]);
    let in_kpi: Vec<_> = alice.subscribable_in(&["kpi", "chat"], &syntax()).iter().map(Grant::filter).collect();
    assert_eq!(in_kpi, [eu, None]);
    assert_eq!(alice.permissions()[0], "subscribe:kpi:acme where region = 'eu'");
}

#[test]
fn a_filter_that_cannot_be_kept_to_is_refused() {
    for wrong in [
        json!(["subscribe:kpi:acme where "]),
        json!(["subscribe:kpi:acme where a ="]),
        json!(["subscribe:kpi:acme  where a = 1"]),
        json!(["publish:kpi:acme where a = 1"]),
        json!(["presence:kpi:acme where a = 1"]),
        json!([{"pattern": "kpi:acme", "rights": ["subscribe", "publish"], "filter": "a = 1"}]),
        json!([{"pattern": "kpi:acme", "rights": ["subscribe"], "filter": ""}]),
        json!([{"pattern": "kpi:acme", "rights": ["subscribe"], "filter": 1}]),
    ] {
        let error = GrantList::read(Some(&wrong), &[], &acme(), &syntax()).unwrap_err();
        assert!(matches!(error, GrantError::Malformed { index: 0, .. }), "{wrong}: {error}");
    }
}

fn any_pattern_text() -> impl Strategy<Value = String> {
    let channel = prop_oneof![Just("kpi"), Just("chat"), Just("*"), Just("all"), Just("org"), Just("user")];
    let org = prop_oneof![Just("acme"), Just("other"), Just("acme2"), Just("org:other"), Just("*")];
    (channel, org, prop_oneof![Just(""), Just(":a"), Just(":*"), Just(":**"), Just(":alice"), Just(":bob")])
        .prop_map(|(channel, org, rest)| format!("{channel}:{org}{rest}"))
}

proptest! {
    #[test]
    fn no_combination_ever_grants_another_org(granted in prop::collection::vec(any_pattern_text(), 0..4), wished in any_pattern_text(),
                                              default: bool) {
        let claim = Value::Array(granted.iter().map(|pattern| json!({"pattern": pattern, "rights": ["subscribe", "publish"]})).collect());
        let claim = (!default).then_some(claim);
        let Ok(grants) = GrantList::read(claim.as_ref(), &[], &acme(), &syntax()) else { return Ok(()) };
        let alice = Principal::new("alice", &acme(), 1).unwrap().with_grants(grants);
        if let Ok(pattern) = syntax().pattern(&wished)
            && let Ok(grant) = alice.grant_subscribe(pattern)
        {
            prop_assert_eq!(grant.org(), alice.org());
        }
        if let Ok(room) = syntax().room(&wished) && alice.may_publish(&room).is_ok() {
            prop_assert_eq!(room.org(), alice.org());
        }
        prop_assert!(alice.own_rooms().iter().all(|grant| grant.org() == alice.org()));
    }
}
