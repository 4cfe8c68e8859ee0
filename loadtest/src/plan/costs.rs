//! The measured costs. Each has its command in docs/scale.md; a deployment measures its own and passes them in.

use super::model::Costs;

/// Of the machine of docs/performance.md and docs/scale.md.
pub const MEASURED: Costs = Costs {
    redis_publish_us: 14.4,
    redis_told_us: 0.3,
    redis_probe_us: 6.2,
    redis_renewal_us: 9.6,
    redis_lease_us: 6.4,
    redis_lease_node_us: 0.75,
    redis_trim_us: 65.0,
    node_event_us: 13.5,
    node_delivery_us: 4.63,
    node_call_us: 7.15,
    node_connect_us: 57.0,
    node_ping_us: 17.0,
    session_user_bytes: 1_640.0,
    session_kernel_bytes: 4_300.0,
    pair_bytes: 26_570.0,
};
