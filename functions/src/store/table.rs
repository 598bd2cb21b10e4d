//! The table itself: made here on one machine, by the template in a company.

use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
    TimeToLiveSpecification,
};

use super::error::StoreError;
use super::item::{PK, SK, TTL, key};
use super::{Store, retry::Backoff};

impl Store {
    /// Makes the table, if it is not there, and waits until it takes writes.
    pub async fn create_table(&self) -> Result<(), StoreError> {
        let attribute = |name: &str| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build()
        };
        let element =
            |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
        let refused = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Refused {
            operation: "CreateTable",
            table: self.table.clone(),
            cause: error.to_string(),
        };
        let created = self
            .client
            .create_table()
            .table_name(&self.table)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute(PK).map_err(refused)?)
            .attribute_definitions(attribute(SK).map_err(refused)?)
            .key_schema(element(PK, KeyType::Hash).map_err(refused)?)
            .key_schema(element(SK, KeyType::Range).map_err(refused)?)
            .send()
            .await;
        match created {
            Ok(_) => {}
            Err(error)
                if error.as_service_error().and_then(ProvideErrorMetadata::code)
                    == Some("ResourceInUseException") => {}
            Err(error) => return Err(self.named("CreateTable", &error)),
        }
        self.wait_until_active().await?;
        self.enable_ttl().await
    }

    async fn wait_until_active(&self) -> Result<(), StoreError> {
        let mut backoff = Backoff::new(50, 400);
        loop {
            let described = self.client.describe_table().table_name(&self.table).send().await;
            let described = described.map_err(|error| self.named("DescribeTable", &error))?;
            if described.table().and_then(|table| table.table_status()) == Some(&TableStatus::Active) {
                return Ok(());
            }
            if !backoff.wait().await {
                let cause = format!("it is not active after {} looks", backoff.attempts());
                return Err(StoreError::Unreachable {
                    operation: "CreateTable",
                    table: self.table.clone(),
                    cause,
                });
            }
        }
    }

    async fn enable_ttl(&self) -> Result<(), StoreError> {
        let specification = TimeToLiveSpecification::builder().attribute_name(TTL).enabled(true).build();
        let specification = specification.map_err(|error| StoreError::Refused {
            operation: "UpdateTimeToLive",
            table: self.table.clone(),
            cause: error.to_string(),
        })?;
        let request = self.client.update_time_to_live().table_name(&self.table);
        match request.time_to_live_specification(specification).send().await {
            Ok(_) => Ok(()),
            // It was enabled before: the one validation error this fixed request can meet.
            Err(error) if error.code() == Some("ValidationException") => Ok(()),
            Err(error) => Err(self.named("UpdateTimeToLive", &error)),
        }
    }

    /// Opens the connection by a read of an item that is never there: done while a process starts.
    pub async fn warm(&self) -> Result<(), StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key("warm", "warm")));
        let answered = tokio::time::timeout(Duration::from_millis(1500), request.send()).await;
        match answered {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.named("GetItem", &error)),
            Err(_) => Err(StoreError::Unreachable {
                operation: "GetItem",
                table: self.table.clone(),
                cause: "no answer within 1.5 s".to_owned(),
            }),
        }
    }
}
