//! A watched room as a client has it, by the rule of docs/presence.md; what breaks the rule is a fault of the server.

use std::collections::BTreeMap;

use serde_json::Value;

/// Who is in a room, as it is shown: by user.
pub type Shown = BTreeMap<String, Value>;

pub struct Roster {
    pub shown: Shown,
    version: u64,
    /// Diffs that came before the snapshot that was asked for.
    early: Option<Vec<Value>>,
    /// The command whose answer is waited for, or came last.
    pub command: usize,
    /// A number was missing, or the snapshot was refused: watch again.
    pub is_broken: bool,
}

impl Roster {
    /// The room was asked for by this command.
    pub fn expect(command: usize) -> Self {
        Self { shown: Shown::new(), version: 0, early: Some(Vec::new()), command, is_broken: false }
    }

    /// It is asked for once more; what is shown stays until the answer.
    pub fn expect_again(&mut self, command: usize) {
        (self.early, self.command, self.is_broken) = (Some(Vec::new()), command, false);
    }

    pub fn refused(&mut self) {
        (self.early, self.is_broken) = (None, true);
    }

    /// # Errors
    /// What contradicts what came before.
    pub fn snapshot(&mut self, data: &Value) -> Result<(), String> {
        self.shown = members(&data["members"]).collect();
        self.version = data["version"].as_u64().unwrap();
        let early = self.early.take().unwrap_or_default();
        early.iter().try_for_each(|diff| self.diff(diff).map(drop))
    }

    /// Those that it shows leaving.
    ///
    /// # Errors
    /// What contradicts what came before.
    pub fn diff(&mut self, data: &Value) -> Result<Vec<String>, String> {
        if let Some(early) = &mut self.early {
            early.push(data.clone());
            return Ok(Vec::new());
        }
        let version = data["version"].as_u64().unwrap();
        if version <= self.version {
            return Ok(Vec::new());
        }
        if version != self.version + 1 {
            self.is_broken = true;
            return Ok(Vec::new());
        }
        self.version = version;
        let left: Vec<String> = data["left"].as_array().unwrap().iter().map(|user| user.as_str().unwrap().to_owned()).collect();
        for user in &left {
            self.shown.remove(user).ok_or_else(|| format!("{user} left, who was not there"))?;
        }
        for (user, member) in members(&data["joined"]) {
            if self.shown.insert(user.clone(), member).is_some() {
                return Err(format!("{user} joined, who was there"));
            }
        }
        for (user, member) in members(&data["updated"]) {
            if self.shown.insert(user.clone(), member).is_none() {
                return Err(format!("{user} was updated, who was not there"));
            }
        }
        Ok(left)
    }
}

fn members(list: &Value) -> impl Iterator<Item = (String, Value)> {
    list.as_array().unwrap().iter().map(|member| (member["user_id"].as_str().unwrap().to_owned(), member.clone()))
}
