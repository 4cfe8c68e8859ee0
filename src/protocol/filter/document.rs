//! What a filter looks at: the data and headers of one publication, each parsed when it is first asked for and never again.

use std::cell::OnceCell;
use std::sync::Arc;

use serde_json::Value;

use crate::protocol::publication::Publication;

/// One publication, as filters see it. Parsing costs something, so it is kept for as long as filters are asked about it.
pub struct Document {
    publication: Arc<Publication>,
    /// `None` inside where the data is no JSON: then no field is there.
    data: OnceCell<Option<Value>>,
    headers: OnceCell<Option<Value>>,
}

impl Document {
    pub fn of(publication: &Arc<Publication>) -> Self {
        Self { publication: Arc::clone(publication), data: OnceCell::new(), headers: OnceCell::new() }
    }

    pub(super) fn data(&self) -> Option<&Value> {
        let data = || serde_json::from_slice(self.publication.json()?).ok();
        self.data.get_or_init(data).as_ref()
    }

    pub(super) fn headers(&self) -> Option<&Value> {
        let headers = || serde_json::from_str(self.publication.headers.as_deref()?).ok();
        self.headers.get_or_init(headers).as_ref()
    }
}
