//! A small domain: accounts that are opened, filled and emptied.

use messina::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, DomainEvent)]
pub enum AccountEvent {
    #[event(name = "AccountOpened")]
    Opened { owner: String },
    #[event(name = "MoneyDeposited", version = 2)]
    Deposited { cents: i64, balance: i64 },
    #[event(name = "MoneyWithdrawn")]
    Withdrawn { cents: i64, balance: i64 },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum AccountCommand {
    Open {
        owner: String,
    },
    Deposit {
        cents: i64,
    },
    Withdraw {
        cents: i64,
    },
    /// As many deposits of a cent.
    DepositMany {
        times: usize,
    },
    /// Nothing happens.
    Look,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AccountError {
    #[error("the account is not open")]
    NotOpen,
    #[error("the account is open already")]
    AlreadyOpen,
    #[error("only {balance} cents are left")]
    Insufficient { balance: i64 },
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub owner: Option<String>,
    pub balance: i64,
    pub deposits: usize,
}

impl Aggregate for Account {
    const TYPE: &'static str = "Account";
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Error = AccountError;

    fn handle(&self, command: &AccountCommand) -> Result<Vec<AccountEvent>, AccountError> {
        if self.owner.is_none() && !matches!(command, AccountCommand::Open { .. }) {
            return Err(AccountError::NotOpen);
        }
        match command {
            AccountCommand::Open { .. } if self.owner.is_some() => Err(AccountError::AlreadyOpen),
            AccountCommand::Open { owner } => {
                Ok(vec![AccountEvent::Opened { owner: owner.clone() }])
            }
            AccountCommand::Deposit { cents } => {
                Ok(vec![AccountEvent::Deposited { cents: *cents, balance: self.balance + cents }])
            }
            AccountCommand::Withdraw { cents } if *cents > self.balance => {
                Err(AccountError::Insufficient { balance: self.balance })
            }
            AccountCommand::Withdraw { cents } => {
                Ok(vec![AccountEvent::Withdrawn { cents: *cents, balance: self.balance - cents }])
            }
            AccountCommand::DepositMany { times } => Ok((1..=*times as i64)
                .map(|n| AccountEvent::Deposited { cents: 1, balance: self.balance + n })
                .collect()),
            AccountCommand::Look => Ok(Vec::new()),
        }
    }

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { owner } => self.owner = Some(owner.clone()),
            AccountEvent::Deposited { balance, .. } => {
                self.balance = *balance;
                self.deposits += 1;
            }
            AccountEvent::Withdrawn { balance, .. } => self.balance = *balance,
        }
    }
}
