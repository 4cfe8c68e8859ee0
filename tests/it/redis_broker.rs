//! What only Redis can do to a broker.
