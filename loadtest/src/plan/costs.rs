//! The measured costs. Each has its command in docs/scale.md; a deployment measures its own and passes them in.

use super::model::Costs;

/// Of the machine of docs/performance.md and docs/scale.md.
pub const MEASURED: Costs = Costs {
    redis_publish_us: 13.0,
    redis_told_us: 0.35,
    redis_probe_us: 14.0,
    redis_lease_us: 14.0,
    redis_lease_node_us: 0.8,
    node_event_us: 8.0,
    node_delivery_us: 4.7,
    node_probe_us: 10.0,
    node_connect_us: 95.0,
    session_user_bytes: 1_600.0,
    session_kernel_bytes: 4_300.0,
    pair_bytes: 20_000.0,
};
