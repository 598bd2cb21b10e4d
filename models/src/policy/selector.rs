//! Selectors: which actions and treatments a limit or a weight is about.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::action::CampaignType;
use crate::decision::Direction;

/// Takes what fits everything that is given; all where nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Selector {
    /// One action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// One channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// One group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// One issue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issue: Option<String>,
    /// One campaign type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign_type: Option<CampaignType>,
}

/// What a selector looks at: an action in one of its forms. Of an action that is no longer in policy.toml only the
/// channel may be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The action's id.
    pub action: Option<&'a str>,
    /// The treatment's channel.
    pub channel: Option<&'a str>,
    /// The action's group.
    pub group: Option<&'a str>,
    /// The action's issue.
    pub issue: Option<&'a str>,
    /// The action's campaign type.
    pub campaign_type: Option<CampaignType>,
    /// Which way it goes, as far as the channel or the caller says.
    pub direction: Option<Direction>,
}

impl Selector {
    /// Whether it takes `subject`.
    #[must_use]
    pub fn takes(&self, subject: &Subject<'_>) -> bool {
        let fits = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_ref().is_none_or(|wanted| found == Some(wanted.as_str()))
        };
        fits(&self.action, subject.action)
            && fits(&self.channel, subject.channel)
            && fits(&self.group, subject.group)
            && fits(&self.issue, subject.issue)
            && self.campaign_type.is_none_or(|wanted| subject.campaign_type == Some(wanted))
    }
}
