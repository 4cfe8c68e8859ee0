//! stub
#[derive(Clone, Debug)]
pub struct Grant(crate::protocol::Pattern);
impl Grant {
    pub fn pattern(&self) -> &crate::protocol::Pattern {
        &self.0
    }
}
