//! INSERT, UPDATE, DELETE and BATCH.

use crate::error::CqlError;

use super::ast::{
    Assignment, Batch, BatchKind, Condition, ConditionTest, Conditions, Delete, DeleteTarget,
    Insert, InsertSource, Literal, Statement, Term, Update, Using,
};
use super::cursor::Cursor;
use super::lexer::TokenKind;

impl Cursor<'_> {
    /// `INSERT …`.
    pub(super) fn insert(&mut self) -> Result<Statement, CqlError> {
        self.expect_word("insert")?;
        self.expect_word("into")?;
        let table = self.table_name()?;
        let source = if self.accept_word("json") {
            let document = self.json_document()?;
            let mut default_unset = false;
            if self.accept_word("default") {
                default_unset = self.accept_word("unset");
                if !default_unset {
                    self.expect_word("null")?;
                }
            }
            InsertSource::Json { document, default_unset }
        } else {
            if !self.is_sign("(") {
                return Err(self.no_viable_alternative());
            }
            let columns = self.parenthesized_identifiers()?;
            self.expect_word("values")?;
            InsertSource::Values { columns, values: self.tuple()? }
        };
        let conditions = if self.accept_word("if") {
            self.expect_word("not")?;
            self.expect_word("exists")?;
            Conditions::NotExists
        } else {
            Conditions::None
        };
        let using = self.using(&["timestamp", "ttl", "timeout"])?;
        Ok(Statement::Insert(Insert { table, source, conditions, using }))
    }

    /// `USING a AND b`, of the attributes that the statement has.
    pub(super) fn using(&mut self, allowed: &[&str]) -> Result<Using, CqlError> {
        let mut using = Using::default();
        if !self.accept_word("using") {
            return Ok(using);
        }
        loop {
            let attribute = allowed.iter().find(|word| self.is_word(word)).copied();
            if attribute.is_none() {
                return Err(self.no_viable_alternative());
            }
            self.advance();
            match attribute {
                Some("timestamp") => using.timestamp = Some(self.integer_term()?),
                Some("ttl") => using.ttl = Some(self.integer_term()?),
                _ => using.timeout = Some(self.term()?),
            }
            if !self.accept_word("and") {
                return Ok(using);
            }
        }
    }

    /// `UPDATE …`.
    pub(super) fn update(&mut self) -> Result<Statement, CqlError> {
        self.expect_word("update")?;
        let table = self.table_name()?;
        let using = self.using(&["timestamp", "ttl", "timeout"])?;
        self.expect_word("set")?;
        let mut assignments = vec![self.assignment()?];
        while self.accept_sign(",") {
            assignments.push(self.assignment()?);
        }
        self.expect_word("where")?;
        let relations = self.relations()?;
        let conditions = self.conditions()?;
        Ok(Statement::Update(Update { table, using, assignments, relations, conditions }))
    }

    fn assignment(&mut self) -> Result<Assignment, CqlError> {
        let column = self.identifier()?;
        if self.accept_sign("[") {
            if self.accept_word("scylla_timeuuid_list_index") {
                self.expect_sign("(")?;
                let key = self.term()?;
                self.expect_sign(")")?;
                self.expect_sign("]")?;
                self.expect_sign("=")?;
                return Ok(Assignment::ListCell { column, key, value: self.term()? });
            }
            let key = self.term()?;
            self.expect_sign("]")?;
            self.expect_sign("=")?;
            return Ok(Assignment::Element { column, key, value: self.term()? });
        }
        if self.accept_sign(".") {
            let field = self.identifier()?;
            self.expect_sign("=")?;
            return Ok(Assignment::Field { column, field, value: self.term()? });
        }
        if !self.accept_sign("=") {
            return Err(self.no_viable_alternative());
        }
        if self.is_word("scylla_counter_shard_list") {
            return Err(CqlError::unsupported("SCYLLA_COUNTER_SHARD_LIST"));
        }
        if self.is_identifier() && !self.is_function_call() {
            return self.change_of_itself(column);
        }
        let value = self.term()?;
        if !self.accept_sign("+") {
            return Ok(Assignment::Set { column, value });
        }
        let added = self.identifier()?;
        if added != column {
            return Err(self.error("Only expressions of the form X = <value> + X are supported."));
        }
        Ok(Assignment::Prepend { column, value })
    }

    /// `c = c + term`, `c = c - term`, and `c = c -3`, whose number the lexer has signed.
    fn change_of_itself(&mut self, column: String) -> Result<Assignment, CqlError> {
        let changed = self.identifier()?;
        let sign = match self.peek() {
            TokenKind::Sign(sign @ ("+" | "-")) => *sign,
            TokenKind::Integer(text) if text.starts_with('-') => "-",
            TokenKind::Integer(_) => "+",
            _ => return Err(self.no_viable_alternative()),
        };
        if changed != column {
            return Err(self.error(format_args!(
                "Only expressions of the form X = X {sign}<value> are supported."
            )));
        }
        if let TokenKind::Integer(text) = self.peek() {
            let value = Term::Literal(Literal::Integer(text.clone()));
            self.advance();
            return Ok(Assignment::Add { column, value });
        }
        self.advance();
        let value = self.term()?;
        Ok(match sign {
            "+" => Assignment::Add { column, value },
            _ => Assignment::Subtract { column, value },
        })
    }

    /// `IF …` of UPDATE and DELETE, if it stands here.
    fn conditions(&mut self) -> Result<Conditions, CqlError> {
        if !self.accept_word("if") {
            return Ok(Conditions::None);
        }
        // `exists` may be a column too: IF exists = 1.
        let is_column = matches!(self.peek_at(1), TokenKind::Sign(sign) if *sign != ";")
            || self.is_word_at(1, "in")
            || self.is_word_at(1, "like");
        if !is_column && self.accept_word("exists") {
            return Ok(Conditions::Exists);
        }
        let mut conditions = vec![self.condition()?];
        while self.accept_word("and") {
            conditions.push(self.condition()?);
        }
        Ok(Conditions::Columns(conditions))
    }

    fn condition(&mut self) -> Result<Condition, CqlError> {
        let column = self.identifier()?;
        let mut element = None;
        let mut field = None;
        if self.accept_sign("[") {
            element = Some(self.term()?);
            self.expect_sign("]")?;
        } else if self.accept_sign(".") {
            field = Some(self.identifier()?);
        }
        let test = if self.accept_word("in") {
            ConditionTest::In(self.in_values()?)
        } else {
            let operator = self.operator()?;
            ConditionTest::Compare { operator, value: self.term()? }
        };
        Ok(Condition { column, element, field, test })
    }

    /// `DELETE …`.
    pub(super) fn delete(&mut self) -> Result<Statement, CqlError> {
        self.expect_word("delete")?;
        let mut targets = Vec::new();
        if !self.is_word("from") {
            targets.push(self.delete_target()?);
            while self.accept_sign(",") {
                targets.push(self.delete_target()?);
            }
        }
        self.expect_word("from")?;
        let table = self.table_name()?;
        let using = self.using(&["timestamp", "timeout"])?;
        self.expect_word("where")?;
        let relations = self.relations()?;
        let conditions = self.conditions()?;
        Ok(Statement::Delete(Delete { targets, table, using, relations, conditions }))
    }

    fn delete_target(&mut self) -> Result<DeleteTarget, CqlError> {
        let column = self.identifier()?;
        if self.accept_sign("[") {
            let key = self.term()?;
            self.expect_sign("]")?;
            return Ok(DeleteTarget::Element { column, key });
        }
        if self.accept_sign(".") {
            return Ok(DeleteTarget::Field { column, field: self.identifier()? });
        }
        Ok(DeleteTarget::Column(column))
    }

    /// `BEGIN … APPLY BATCH`.
    pub(super) fn batch(&mut self) -> Result<Statement, CqlError> {
        self.expect_word("begin")?;
        let kind = if self.accept_word("unlogged") {
            BatchKind::Unlogged
        } else if self.accept_word("counter") {
            BatchKind::Counter
        } else {
            BatchKind::Logged
        };
        self.expect_word("batch")?;
        let using = self.using(&["timestamp", "ttl", "timeout"])?;
        let mut statements = Vec::new();
        while !self.is_word("apply") {
            statements.push(match self.peek() {
                TokenKind::Word(word) if word == "insert" => self.insert()?,
                TokenKind::Word(word) if word == "update" => self.update()?,
                TokenKind::Word(word) if word == "delete" => self.delete()?,
                _ => return Err(self.mismatch("K_APPLY")),
            });
            self.accept_sign(";");
        }
        self.expect_word("apply")?;
        self.expect_word("batch")?;
        Ok(Statement::Batch(Batch { kind, using, statements }))
    }
}
