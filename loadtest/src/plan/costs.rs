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
    node_event_us: 8.0,
    node_delivery_us: 4.7,
    node_call_us: 10.0,
    node_connect_us: 95.0,
    session_user_bytes: 1_600.0,
    session_kernel_bytes: 4_300.0,
    pair_bytes: 20_000.0,
};
