//! What the parser makes of a statement's text. Names are resolved later, in `plan`.

/// A parsed statement with its number of bind markers.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The statement.
    pub statement: Statement,
    /// Its markers in order of appearance: `None` for `?`, the name for `:name`.
    /// [`BindMarker::index`] counts in this list (a name used twice has two entries).
    pub markers: Vec<Option<String>>,
}

/// An identifier, already folded to lower case unless it was quoted.
pub type Ident = String;

/// One CQL statement.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // each variant is the CQL statement of its name
pub enum Statement {
    Select(Select),
    Insert(Insert),
    Update(Update),
    Delete(Delete),
    Batch(Batch),
    Truncate(Truncate),
    Use(Ident),
    CreateKeyspace(CreateKeyspace),
    AlterKeyspace { name: Ident, options: Vec<(Ident, OptionValue)> },
    DropKeyspace { name: Ident, if_exists: bool },
    CreateTable(CreateTable),
    AlterTable { table: TableName, change: TableChange },
    DropTable { table: TableName, if_exists: bool },
    CreateType { name: TableName, if_not_exists: bool, fields: Vec<(Ident, TypeName)> },
    AlterType { name: TableName, change: TypeChange },
    DropType { name: TableName, if_exists: bool },
    Describe(Describe),
}

/// `[keyspace.]name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    /// The keyspace, when the statement names it.
    pub keyspace: Option<Ident>,
    /// The table's (or type's) name.
    pub name: Ident,
}

/// A type as written; `plan`/`schema` resolve UDT names. Its `Display` (in `parse`)
/// is the text in canonical form, as error messages need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeName {
    /// A native type's or a UDT's name, lower case unless quoted.
    Named { keyspace: Option<Ident>, name: Ident },
    /// `list<T>`, `set<T>`, `map<K, V>`, `tuple<…>`: `name` is the lower-case word.
    Generic { name: Ident, parameters: Vec<TypeName> },
    /// `frozen<T>`.
    Frozen(Box<TypeName>),
}

/// The n-th `?` (or `:name`) of the statement, counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindMarker {
    /// Position among the statement's markers.
    pub index: usize,
}

/// A constant as written; its text decides later which types it fits.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Digits with an optional minus sign, any size.
    Integer(String),
    /// A number with a point or exponent, also `NaN` and `Infinity`.
    Float(String),
    /// A quoted string, unescaped (also `$$…$$`).
    String(String),
    /// `true`, `false`.
    Boolean(bool),
    /// A bare uuid.
    Uuid(uuid::Uuid),
    /// `0x…`.
    Hex(Vec<u8>),
    /// A duration as written (`1y2mo3d4h`, `P1Y…`).
    Duration(String),
}

/// A value expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    /// `null`.
    Null,
    /// A constant.
    Literal(Literal),
    /// `?` or `:name`.
    Bind(BindMarker),
    /// `[a, b]`.
    List(Vec<Term>),
    /// `{a, b}`; `{}` is an empty set here and fits a map too.
    Set(Vec<Term>),
    /// `{k: v}` where the keys are terms.
    Map(Vec<(Term, Term)>),
    /// `{field: v}` where the keys are identifiers.
    Udt(Vec<(Ident, Term)>),
    /// `(a, b)`.
    Tuple(Vec<Term>),
    /// `f(a, b)`, name lower case (unless quoted), e.g. `now`, `token`, `mintimeuuid`, `fromjson`.
    Function { name: Ident, arguments: Vec<Term> },
    /// `(type) term`, a type hint.
    TypeHint { type_name: TypeName, term: Box<Term> },
}

/// `=`, `!=`, `<`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operator {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Contains,
    ContainsKey,
    Like,
}

/// The right side of `IN`.
#[derive(Debug, Clone, PartialEq)]
pub enum InValues {
    /// `IN (a, ?, …)`, possibly empty.
    Terms(Vec<Term>),
    /// `IN ?`.
    Bind(BindMarker),
}

/// One condition of a WHERE clause.
#[derive(Debug, Clone, PartialEq)]
pub enum Relation {
    /// `column <op> term`.
    Column { column: Ident, operator: Operator, value: Term },
    /// `column IN …`.
    ColumnIn { column: Ident, values: InValues },
    /// `column IS NOT NULL` (only in views; `plan` refuses it).
    ColumnNotNull { column: Ident },
    /// `(c, d) <op> (1, 'a')` (value is a `Term::Tuple` or a marker).
    Tuple { columns: Vec<Ident>, operator: Operator, value: Term },
    /// `(c, d) IN ((1, 'a'), …)`.
    TupleIn { columns: Vec<Ident>, values: InValues },
    /// `token(a, b) <op> term`.
    Token { columns: Vec<Ident>, operator: Operator, value: Term },
    /// `m[key] <op> term`.
    Element { column: Ident, key: Term, operator: Operator, value: Term },
}

/// What a SELECT returns per column.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    /// The expression.
    pub expression: SelectExpression,
    /// `AS alias`.
    pub alias: Option<Ident>,
}

/// An expression of a selection clause.
#[derive(Debug, Clone, PartialEq)]
pub enum SelectExpression {
    /// A column.
    Column(Ident),
    /// `column.field` of a UDT.
    Field { base: Box<SelectExpression>, field: Ident },
    /// `column[key]`.
    Element { base: Box<SelectExpression>, key: Term },
    /// `writetime(column)`.
    WriteTime(Ident),
    /// `ttl(column)`.
    Ttl(Ident),
    /// `count(*)` or `count(1)`.
    CountRows,
    /// `f(…)`, aggregates and `token` included; name lower case unless quoted.
    Function { name: Ident, arguments: Vec<SelectExpression> },
    /// `CAST(e AS type)`.
    Cast { expression: Box<SelectExpression>, type_name: TypeName },
    /// A constant or marker as argument of a function.
    Term(Term),
}

/// `SELECT`.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// `SELECT JSON`.
    pub json: bool,
    /// `SELECT DISTINCT`.
    pub distinct: bool,
    /// Empty for `*`.
    pub selectors: Vec<Selector>,
    /// `FROM`.
    pub table: TableName,
    /// `WHERE`, joined by AND.
    pub relations: Vec<Relation>,
    /// `GROUP BY`.
    pub group_by: Vec<Ident>,
    /// `ORDER BY`: column and whether descending.
    pub order_by: Vec<(Ident, bool)>,
    /// `PER PARTITION LIMIT`.
    pub per_partition_limit: Option<Term>,
    /// `LIMIT`.
    pub limit: Option<Term>,
    /// `ALLOW FILTERING`.
    pub allow_filtering: bool,
    /// `BYPASS CACHE` (a hint that has no meaning in memory; accepted).
    pub bypass_cache: bool,
    /// `USING TIMEOUT` (accepted).
    pub using: Using,
}

/// `TRUNCATE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Truncate {
    /// The table.
    pub table: TableName,
    /// A timeout, as of any statement.
    pub using: Using,
}

/// `USING TIMESTAMP … AND TTL … AND TIMEOUT …`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Using {
    /// Microseconds since 1970.
    pub timestamp: Option<Term>,
    /// Seconds.
    pub ttl: Option<Term>,
    /// ScyllaDB's per-query timeout, a duration.
    pub timeout: Option<Term>,
}

/// The `IF` of a conditional statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Conditions {
    /// Not conditional.
    None,
    /// `IF NOT EXISTS` (INSERT).
    NotExists,
    /// `IF EXISTS` (UPDATE, DELETE).
    Exists,
    /// `IF a = 1 AND b IN (…)`.
    Columns(Vec<Condition>),
}

/// One condition of an `IF`.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The column.
    pub column: Ident,
    /// `column[key]`.
    pub element: Option<Term>,
    /// `column.field`.
    pub field: Option<Ident>,
    /// What is asked.
    pub test: ConditionTest,
}

/// The right side of a condition.
#[derive(Debug, Clone, PartialEq)]
pub enum ConditionTest {
    /// `<op> term`.
    Compare { operator: Operator, value: Term },
    /// `IN …`.
    In(InValues),
}

/// `INSERT`.
#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    /// `INTO`.
    pub table: TableName,
    /// What is inserted.
    pub source: InsertSource,
    /// `None` or `NotExists`.
    pub conditions: Conditions,
    /// `USING`.
    pub using: Using,
}

/// `(columns) VALUES (terms)` or `JSON`.
#[derive(Debug, Clone, PartialEq)]
pub enum InsertSource {
    /// The lists may differ in length: `plan` refuses that as ScyllaDB does.
    Values { columns: Vec<Ident>, values: Vec<Term> },
    /// `JSON '…'` or `JSON ?`; `default_unset` is `DEFAULT UNSET`.
    Json { document: Term, default_unset: bool },
}

/// `UPDATE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// The table.
    pub table: TableName,
    /// `USING`.
    pub using: Using,
    /// `SET`.
    pub assignments: Vec<Assignment>,
    /// `WHERE`.
    pub relations: Vec<Relation>,
    /// `IF`.
    pub conditions: Conditions,
}

/// One assignment of `SET`.
#[derive(Debug, Clone, PartialEq)]
pub enum Assignment {
    /// `c = term`.
    Set { column: Ident, value: Term },
    /// `c = c + term` and `c += term`.
    Add { column: Ident, value: Term },
    /// `c = c - term` and `c -= term`.
    Subtract { column: Ident, value: Term },
    /// `c = term + c`.
    Prepend { column: Ident, value: Term },
    /// `c[key] = term`.
    Element { column: Ident, key: Term, value: Term },
    /// `c[SCYLLA_TIMEUUID_LIST_INDEX(key)] = term`: what replicators of CDC logs write.
    ListCell { column: Ident, key: Term, value: Term },
    /// `c.field = term`.
    Field { column: Ident, field: Ident, value: Term },
}

/// `DELETE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// What is deleted; empty for whole rows.
    pub targets: Vec<DeleteTarget>,
    /// `FROM`.
    pub table: TableName,
    /// `USING TIMESTAMP`.
    pub using: Using,
    /// `WHERE`.
    pub relations: Vec<Relation>,
    /// `IF`.
    pub conditions: Conditions,
}

/// One thing that a DELETE names.
#[derive(Debug, Clone, PartialEq)]
pub enum DeleteTarget {
    /// A column.
    Column(Ident),
    /// `c[key]`.
    Element { column: Ident, key: Term },
    /// `c.field`.
    Field { column: Ident, field: Ident },
}

/// `LOGGED` unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BatchKind {
    Logged,
    Unlogged,
    Counter,
}

/// `BEGIN … BATCH … APPLY BATCH`.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Its kind.
    pub kind: BatchKind,
    /// `USING TIMESTAMP` of the whole batch.
    pub using: Using,
    /// INSERT, UPDATE and DELETE only: the parser refuses others.
    pub statements: Vec<Statement>,
}

/// A value of a `WITH` option.
#[derive(Debug, Clone, PartialEq)]
pub enum OptionValue {
    /// A constant (words like `true` or `all` come as strings or booleans).
    Literal(Literal),
    /// `{'class': '…', …}`.
    Map(Vec<(String, OptionValue)>),
}

/// `CREATE KEYSPACE`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateKeyspace {
    /// Its name.
    pub name: Ident,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// `replication`, `durable_writes`, `tablets`, …
    pub options: Vec<(Ident, OptionValue)>,
}

/// A column as written in CREATE TABLE.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDefinition {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub type_name: TypeName,
    /// `STATIC`.
    pub is_static: bool,
    /// `PRIMARY KEY` written at the column.
    pub primary_key: bool,
}

/// `CREATE TABLE`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTable {
    /// Its name.
    pub table: TableName,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Columns in order of definition.
    pub columns: Vec<ColumnDefinition>,
    /// Each `PRIMARY KEY (…)` clause: partition key columns, clustering columns.
    /// A well-formed table has one, here or at a column.
    pub primary_keys: Vec<(Vec<Ident>, Vec<Ident>)>,
    /// `CLUSTERING ORDER BY`: column and whether descending.
    pub clustering_order: Vec<(Ident, bool)>,
    /// `COMPACT STORAGE`.
    pub compact_storage: bool,
    /// Other `WITH` options.
    pub options: Vec<(Ident, OptionValue)>,
}

/// What ALTER TABLE changes.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum TableChange {
    Add(Vec<ColumnDefinition>),
    Drop { columns: Vec<Ident>, timestamp: Option<Term> },
    Rename(Vec<(Ident, Ident)>),
    AlterType { column: Ident, type_name: TypeName },
    Options(Vec<(Ident, OptionValue)>),
}

/// What ALTER TYPE changes.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum TypeChange {
    Add(Ident, TypeName),
    Rename(Vec<(Ident, Ident)>),
}

/// `DESCRIBE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Describe {
    /// What is described.
    pub kind: DescribeKind,
    /// `WITH INTERNALS`: ids and dropped columns too.
    pub internals: bool,
}

/// What DESCRIBE describes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // each list is the CQL word of its name
pub enum DescribeKind {
    Cluster,
    Keyspaces,
    Tables,
    Types,
    Functions,
    Aggregates,
    /// All keyspaces with what is in them; `full`: the system's too.
    Schema {
        full: bool,
    },
    /// A keyspace, or the current one; `only`: not what is in it.
    Keyspace {
        name: Option<Ident>,
        only: bool,
    },
    /// Something by its name; `what` says of which kind it has to be.
    Element {
        what: Option<&'static str>,
        name: TableName,
    },
}
