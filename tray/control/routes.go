package control

// A route is the path of one method. Its parameters are what goes in and what
// comes out, so that client and server cannot disagree: the table below is
// read by both, and a method wired to the wrong route does not compile unless
// the two take and return the same.
type route[Q, A any] string

const (
	mailFetch        route[None, Fetched]                = "mail/fetch"
	mailList         route[ListQuery, []Summary]         = "mail/list"
	mailShow         route[MessageQuery, Message]        = "mail/show"
	mailAttachment   route[AttachmentQuery, Attachment]  = "mail/attachment" // returns a file
	mailRaw          route[MessageQuery, None]           = "mail/raw"        // returns a file
	mailMarkRead     route[ReadMark, None]               = "mail/mark-read"
	mailCheck        route[CheckQuery, []RecipientState] = "mail/check"
	mailSaveDraft    route[Draft, Draft]                 = "mail/save-draft"
	mailDraft        route[DraftQuery, Draft]            = "mail/draft"
	mailDrafts       route[None, []Draft]                = "mail/drafts"
	mailDiscardDraft route[DraftQuery, None]             = "mail/discard-draft"
	mailAttach       route[AttachOrder, Attachment]      = "mail/attach" // takes a file
	mailDetach       route[DetachOrder, None]            = "mail/detach"
	mailSend         route[DraftQuery, Sent]             = "mail/send"
	mailOutbox       route[None, []Outgoing]             = "mail/outbox"
	mailWithdraw     route[OutgoingQuery, None]          = "mail/withdraw"
	mailInspect      route[InspectQuery, Inspection]     = "mail/inspect" // takes a file

	contactsList      route[SearchQuery, []Contact] = "contacts/list"
	contactsShow      route[ContactQuery, Contact]  = "contacts/show"
	contactsAdd       route[NewContact, Contact]    = "contacts/add"
	contactsRemove    route[ContactQuery, None]     = "contacts/remove"
	contactsFind      route[ContactQuery, Search]   = "contacts/find"
	contactsInvite    route[ContactQuery, Contact]  = "contacts/invite"
	contactsStartTest route[TestOrder, Contact]     = "contacts/start-test"
	contactsAnswer    route[ContactQuery, Contact]  = "contacts/answer"
	contactsCall      route[CallReport, CallResult] = "contacts/call"
	contactsMisheard  route[ContactQuery, Contact]  = "contacts/misheard"
	contactsSuspend   route[ContactQuery, Contact]  = "contacts/suspend"
	contactsMine      route[None, OwnWords]         = "contacts/mine"
	contactsWordList  route[None, []string]         = "contacts/word-list"
	contactsPrograms  route[None, []Program]        = "contacts/programs"
	contactsStartOver route[None, None]             = "contacts/start-over"

	identitiesList            route[None, []Identity]        = "identities/list"
	identitiesImportPKCS12    route[PKCS12Order, []Identity] = "identities/import-pkcs12" // takes a file
	identitiesRecovery        route[None, Recovery]          = "identities/recovery"
	identitiesMakeRecovery    route[None, RecoveryFile]      = "identities/make-recovery"
	identitiesConfirmRecovery route[RecoveryCheck, Recovery] = "identities/confirm-recovery"
	identitiesBackup          route[BackupOrder, None]       = "identities/backup"

	accountsList   route[None, []Account]     = "accounts/list"
	accountsAdd    route[NewAccount, Account] = "accounts/add"
	accountsRemove route[AccountQuery, None]  = "accounts/remove"

	journalList   route[JournalQuery, []Entry] = "journal/list"
	journalVerify route[None, JournalProof]    = "journal/verify"

	settingsStatus      route[None, Status]             = "settings/status"
	settingsGet         route[None, Preferences]        = "settings/get"
	settingsSet         route[Preferences, Preferences] = "settings/set"
	settingsPageAddress route[None, PageAddress]        = "settings/page-address"
	settingsLock        route[None, None]               = "settings/lock"
	settingsUnlock      route[None, None]               = "settings/unlock"
	settingsStop        route[None, None]               = "settings/stop"

	eventsWatch route[Cursor, Event] = "events/watch" // server-sent events

	simulationStage route[None, Stage]             = "simulation/stage"
	simulationDial  route[DialOrder, Conversation] = "simulation/dial"
	simulationPlay  route[ActQuery, None]          = "simulation/play"
)

// path is where the route stands in a URL.
func (r route[Q, A]) path() string { return "/v1/" + string(r) }
