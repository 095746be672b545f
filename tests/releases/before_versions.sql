-- desk
BEGIN TRANSACTION;
CREATE TABLE meristem_inbox (
	event_id TEXT NOT NULL, 
	source TEXT NOT NULL, 
	subscriber TEXT NOT NULL, 
	handled_at FLOAT NOT NULL, 
	PRIMARY KEY (event_id, source, subscriber)
)
 WITHOUT ROWID

;
INSERT INTO "meristem_inbox" VALUES('01a22097-3f50-7ee5-9234-916c077940a5','//desk/desk','desk',1795843112.78693);
CREATE TABLE meristem_once (
	operation VARCHAR(200) NOT NULL, 
	"key" VARCHAR(200) NOT NULL, 
	request VARCHAR(64) NOT NULL, 
	fault VARCHAR(200), 
	answer BLOB NOT NULL, 
	answered DATETIME NOT NULL, 
	PRIMARY KEY (operation, "key")
);
INSERT INTO "meristem_once" VALUES('/desk.v1.Desk/Note','note-hello','016596be7898fa688e0904a91d36018f6a4fa03ee0a3a03ee0111b77eb4551c3',NULL,X'31','2026-11-28 05:18:32.706450');
INSERT INTO "meristem_once" VALUES('/desk.v1.Desk/Note','note-nonsense','3001f2ec00a5202205688fb32e55647c192cc121001872fac9b28e573e71d821',NULL,X'32','2026-11-28 05:18:32.714459');
INSERT INTO "meristem_once" VALUES('/desk.v1.Desk/Note','note-later','19bf965d08e67d1446e153fbab7b75333bdda0d0008b40675c288121898216e4',NULL,X'33','2026-11-28 05:18:32.821990');
CREATE TABLE meristem_outbox (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	event_id TEXT NOT NULL, 
	subscriber TEXT NOT NULL, 
	type TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	body TEXT NOT NULL, 
	created FLOAT NOT NULL, 
	attempts INTEGER NOT NULL, 
	due_at FLOAT NOT NULL, 
	state TEXT NOT NULL, 
	error TEXT, 
	owner TEXT
);
INSERT INTO "meristem_outbox" VALUES(2,'01a22097-3f0a-7b8c-b1b0-4139c3e46108','ledger','desk.v1.Noted','nonsense','{"specversion":"1.0","id":"01a22097-3f0a-7b8c-b1b0-4139c3e46108","source":"//desk/desk","type":"desk.v1.Noted","subject":"nonsense","time":"2026-11-28T05:18:32.714482Z","datacontenttype":"application/json","traceparent":"00-b247c841168498fa37febc3ba9772874-fdec778c0cea3b84-01","causationid":"note-nonsense","data":{"text":"nonsense"}}',1.795843112714482069e+09,1,1.795843112714482069e+09,'dead','Undeliverable: nobody can read that',NULL);
INSERT INTO "meristem_outbox" VALUES(4,'01a22097-3f76-78fe-a4aa-a8a0fb5a1c67','ledger','desk.v1.Noted','later','{"specversion":"1.0","id":"01a22097-3f76-78fe-a4aa-a8a0fb5a1c67","source":"//desk/desk","type":"desk.v1.Noted","subject":"later","time":"2026-11-28T05:18:32.822004Z","datacontenttype":"application/json","traceparent":"00-bc466713ffc116fbbe3e61f542b6158a-20720c0e6f72dd8f-01","causationid":"note-later","data":{"text":"later"}}',1.79584311282200407983e+09,0,1.79584311282200407983e+09,'pending',NULL,'main-0/desk');
CREATE TABLE meristem_relays (
	owner TEXT NOT NULL, 
	alive_until FLOAT NOT NULL, 
	PRIMARY KEY (owner)
);
INSERT INTO "meristem_relays" VALUES('main-0/desk',1795843142.658);
CREATE TABLE meristem_saga (
	id VARCHAR(32) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	version INTEGER NOT NULL, 
	state VARCHAR(10) NOT NULL, 
	input TEXT NOT NULL, 
	context TEXT NOT NULL, 
	seed VARCHAR(32) NOT NULL, 
	horizon INTEGER NOT NULL, 
	result TEXT, 
	error TEXT, 
	problem TEXT, 
	resume VARCHAR(10), 
	cancelled BOOLEAN NOT NULL, 
	owner VARCHAR(200), 
	lease_until DATETIME, 
	fence INTEGER NOT NULL, 
	wake_at DATETIME, 
	attempts INTEGER NOT NULL, 
	created DATETIME NOT NULL, 
	updated DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "meristem_saga" VALUES('a412d6b92e7816a35059b021526a335a','sell',1,'done','{"item":"done"}','{"trace":{"trace_id":"f2faba023e696c557703eeb037a8546d","span_id":"fde68aabcba1ab39","sampled":true,"state":"","foreign":false},"key":"sell-done"}','e67281a8c6f885404759a42e91b58d8e',0,'"done 4"',NULL,NULL,NULL,0,NULL,NULL,2,NULL,2,'2026-11-28 05:18:32.724149','2026-11-28 05:18:32.806580');
INSERT INTO "meristem_saga" VALUES('c70d9a15f4b86327e3e800a8c58789d3','sell',1,'waiting','{"item":"chair"}','{"trace":{"trace_id":"12b69e192950f7240a25e95ec11791b2","span_id":"1ecf5a6e267f053d","sampled":true,"state":"","foreign":false},"key":"sell-chair"}','6c4a6c4352fc08aa2c190328fe85b87c',1,NULL,NULL,NULL,NULL,0,NULL,NULL,1,'2026-12-28 05:18:32.834487',1,'2026-11-28 05:18:32.821248','2026-11-28 05:18:32.858562');
INSERT INTO "meristem_saga" VALUES('3834ac2c81ced092124675525d3f2cde','sell',1,'running','{"item":"slow"}','{"trace":{"trace_id":"38c95b55567af07999b7f0990b14e490","span_id":"e6e855d974a8b102","sampled":true,"state":"","foreign":false},"key":"sell-slow"}','6ba60e2dec87afa8e3a1ed4aad1971de',1,NULL,NULL,NULL,NULL,0,'vm/f8feecc6/4026531836|25857|161369|cc9fa9e1','2026-11-28 05:18:42.821410',1,NULL,1,'2026-11-28 05:18:32.821397','2026-11-28 05:18:32.821397');
INSERT INTO "meristem_saga" VALUES('386a989f1beda7c33590d7810aa003ce','sell',1,'undoing','{"item":"nothing"}','{"trace":{"trace_id":"02bcd12e89aefb4776f06ab748f253d7","span_id":"d97411e642d8cd3e","sampled":true,"state":"","foreign":false},"key":"sell-nothing"}','be82fad4fe54f91a6912bb85ac08154f',1,NULL,'{"kind":"fault","name":"tests.releases.desk:SoldOut","message":"SoldOut (item=''nothing'')","code":"failed_precondition","fields":{"item":"nothing"}}',NULL,NULL,0,'vm/f8feecc6/4026531836|25857|161369|cc9fa9e1','2026-11-28 05:18:42.834812',1,NULL,1,'2026-11-28 05:18:32.821448','2026-11-28 05:18:32.834816');
INSERT INTO "meristem_saga" VALUES('f9ae784cb7dc06e6fe9bf7b5f92bb310','sell',1,'parked','{"item":"riddle"}','{"trace":{"trace_id":"65edf348d73ef97b12dfeb06677fd033","span_id":"532152b69a65e7e3","sampled":true,"state":"","foreign":false},"key":"sell-riddle"}','584e0f74640c86054c4c87a72ab9ac9a',1,NULL,'{"kind":"call","name":"builtins:ValueError","message":"ValueError: nobody has thought of that","details":"Traceback (most recent call last):\n  File \"/srv/shop/src/meristem/sagas/run.py\", line 116, in _body\n    return await self.definition.begin(self._instance, self.flow, values)\n           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n  File \"/srv/shop/tests/releases/desk.py\", line 122, in sell\n    raise ValueError(\"nobody has thought of that\")\nValueError: nobody has thought of that\n"}','the undo Ledger.strike of step 0 (Ledger.book) fails: [failed_precondition] the books are closed (it is undone because: ValueError: nobody has thought of that)','undoing',0,NULL,NULL,1,NULL,1,'2026-11-28 05:18:32.821492','2026-11-28 05:18:32.884330');
INSERT INTO "meristem_saga" VALUES('21b2b674292234e8ad59f18f6f721337','reserve',1,'waiting','{"item":"bed"}','{"trace":{"trace_id":"0358119c9584632b8fa00161cd97db16","span_id":"d249697bc08267d9","sampled":true,"state":"","foreign":false},"key":"reserve-bed"}','95abf95159db329c49cfa2b6494d9f70',1,NULL,NULL,NULL,NULL,0,NULL,NULL,1,'2026-11-28 05:19:32.821869',1,'2026-11-28 05:18:32.821536','2026-11-28 05:18:32.832415');
CREATE TABLE meristem_saga_event (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	type VARCHAR(200) NOT NULL, 
	"key" VARCHAR(200) NOT NULL, 
	body TEXT NOT NULL, 
	received DATETIME NOT NULL
);
INSERT INTO "meristem_saga_event" VALUES(1,'desk.v1.Paid','done','{"item":"done"}','2026-11-28 05:18:32.786334');
CREATE TABLE meristem_saga_step (
	saga_id VARCHAR(32) NOT NULL, 
	position VARCHAR(100) NOT NULL, 
	kind VARCHAR(10) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	request VARCHAR(100) NOT NULL, 
	state VARCHAR(10) NOT NULL, 
	sequence INTEGER NOT NULL, 
	reply TEXT, 
	error TEXT, 
	due DATETIME, 
	subject VARCHAR(200), 
	event INTEGER, 
	attempts INTEGER NOT NULL, 
	started DATETIME NOT NULL, 
	ended DATETIME, 
	PRIMARY KEY (saga_id, position, kind)
);
INSERT INTO "meristem_saga_step" VALUES('a412d6b92e7816a35059b021526a335a','0','call','Ledger.book','3768b854862ec9fa','done',1,'4',NULL,NULL,NULL,NULL,1,'2026-11-28 05:18:32.741490','2026-11-28 05:18:32.754274');
INSERT INTO "meristem_saga_step" VALUES('a412d6b92e7816a35059b021526a335a','1','wait','desk.v1.Paid','83fafd61a48d220a','done',2,'{"item":"done"}',NULL,'2026-12-28 05:18:32.754417','done',1,0,'2026-11-28 05:18:32.754417','2026-11-28 05:18:32.799701');
INSERT INTO "meristem_saga_step" VALUES('21b2b674292234e8ad59f18f6f721337','0','sleep','sleep','8555e251f58276fb','waiting',0,NULL,NULL,'2026-11-28 05:19:32.821869',NULL,NULL,0,'2026-11-28 05:18:32.821869',NULL);
INSERT INTO "meristem_saga_step" VALUES('c70d9a15f4b86327e3e800a8c58789d3','0','call','Ledger.book','946eff9ff2cefa28','done',1,'5',NULL,NULL,NULL,NULL,1,'2026-11-28 05:18:32.831125','2026-11-28 05:18:32.834345');
INSERT INTO "meristem_saga_step" VALUES('c70d9a15f4b86327e3e800a8c58789d3','1','wait','desk.v1.Paid','100b10f4d5dc8b3f','waiting',0,NULL,NULL,'2026-12-28 05:18:32.834487','chair',NULL,0,'2026-11-28 05:18:32.834487',NULL);
INSERT INTO "meristem_saga_step" VALUES('386a989f1beda7c33590d7810aa003ce','0','call','Ledger.book','fd3caf101a751264','done',1,'7',NULL,NULL,NULL,NULL,1,'2026-11-28 05:18:32.831524','2026-11-28 05:18:32.834387');
INSERT INTO "meristem_saga_step" VALUES('f9ae784cb7dc06e6fe9bf7b5f92bb310','0','call','Ledger.book','c27a1dfbf00ae773','done',1,'6',NULL,NULL,NULL,NULL,1,'2026-11-28 05:18:32.831647','2026-11-28 05:18:32.834405');
INSERT INTO "meristem_saga_step" VALUES('f9ae784cb7dc06e6fe9bf7b5f92bb310','0','undo','Ledger.strike','c27a1dfbf00ae773','failed',0,NULL,'{"kind":"call","name":"meristem.errors:CallError","message":"the books are closed","code":"failed_precondition"}',NULL,NULL,NULL,2,'2026-11-28 05:18:32.857387',NULL);
CREATE TABLE notes (
	id INTEGER NOT NULL, 
	text VARCHAR, 
	PRIMARY KEY (id)
);
INSERT INTO "notes" VALUES(1,'hello');
INSERT INTO "notes" VALUES(2,'nonsense');
INSERT INTO "notes" VALUES(3,'later');
CREATE INDEX ix_meristem_once_answered ON meristem_once (answered);
CREATE INDEX meristem_inbox_age ON meristem_inbox (handled_at);
CREATE UNIQUE INDEX meristem_outbox_event ON meristem_outbox (event_id, subscriber);
CREATE INDEX meristem_outbox_lane ON meristem_outbox (subscriber, "key", seq);
CREATE INDEX meristem_outbox_queue ON meristem_outbox (subscriber, state, seq);
CREATE INDEX meristem_saga_state ON meristem_saga (state, updated);
CREATE INDEX meristem_saga_event_key ON meristem_saga_event (type, "key");
CREATE INDEX meristem_saga_step_wait ON meristem_saga_step (state, kind);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('meristem_outbox',4);
INSERT INTO "sqlite_sequence" VALUES('meristem_saga_event',1);
COMMIT;
-- ledger
BEGIN TRANSACTION;
CREATE TABLE entries (
	id INTEGER NOT NULL, 
	text VARCHAR, 
	PRIMARY KEY (id)
);
INSERT INTO "entries" VALUES(1,'noted hello');
INSERT INTO "entries" VALUES(2,'book done');
INSERT INTO "entries" VALUES(3,'book chair');
INSERT INTO "entries" VALUES(4,'book nothing');
INSERT INTO "entries" VALUES(5,'book riddle');
CREATE TABLE meristem_inbox (
	event_id TEXT NOT NULL, 
	source TEXT NOT NULL, 
	subscriber TEXT NOT NULL, 
	handled_at FLOAT NOT NULL, 
	PRIMARY KEY (event_id, source, subscriber)
)
 WITHOUT ROWID

;
INSERT INTO "meristem_inbox" VALUES('01a22097-3f02-7b2b-9052-b1e3c888c9fd','//desk/desk','ledger',1.79584311271396899218e+09);
CREATE TABLE meristem_once (
	operation VARCHAR(200) NOT NULL, 
	"key" VARCHAR(200) NOT NULL, 
	request VARCHAR(64) NOT NULL, 
	fault VARCHAR(200), 
	answer BLOB NOT NULL, 
	answered DATETIME NOT NULL, 
	PRIMARY KEY (operation, "key")
);
INSERT INTO "meristem_once" VALUES('/desk.ledger.v1.Ledger/Book','a412d6b92e7816a35059b021526a335a:0','70ae06b5130cb071e8ef5486bbc6f27934063f2d9307899304c0a0caf4568a2a',NULL,X'34','2026-11-28 05:18:32.742954');
INSERT INTO "meristem_once" VALUES('/desk.ledger.v1.Ledger/Book','c70d9a15f4b86327e3e800a8c58789d3:0','0af84ee3127e1aff28d82fc5ba11e97df74fda7d6801654bc3116bc74ff1a285',NULL,X'35','2026-11-28 05:18:32.831790');
INSERT INTO "meristem_once" VALUES('/desk.ledger.v1.Ledger/Book','386a989f1beda7c33590d7810aa003ce:0','101c4b55234fa001764453be633f8d035710a878c544ce17323004281c2bb336',NULL,X'37','2026-11-28 05:18:32.832013');
INSERT INTO "meristem_once" VALUES('/desk.ledger.v1.Ledger/Book','f9ae784cb7dc06e6fe9bf7b5f92bb310:0','f63c596b47d13d1e0dfe735f883476edfbfc13ca16ceabefb033cc54668a36de',NULL,X'36','2026-11-28 05:18:32.832122');
CREATE TABLE meristem_outbox (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	event_id TEXT NOT NULL, 
	subscriber TEXT NOT NULL, 
	type TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	body TEXT NOT NULL, 
	created FLOAT NOT NULL, 
	attempts INTEGER NOT NULL, 
	due_at FLOAT NOT NULL, 
	state TEXT NOT NULL, 
	error TEXT, 
	owner TEXT
);
CREATE TABLE meristem_relays (
	owner TEXT NOT NULL, 
	alive_until FLOAT NOT NULL, 
	PRIMARY KEY (owner)
);
INSERT INTO "meristem_relays" VALUES('main-0/ledger',1795843142.649);
CREATE INDEX ix_meristem_once_answered ON meristem_once (answered);
CREATE INDEX meristem_inbox_age ON meristem_inbox (handled_at);
CREATE UNIQUE INDEX meristem_outbox_event ON meristem_outbox (event_id, subscriber);
CREATE INDEX meristem_outbox_lane ON meristem_outbox (subscriber, "key", seq);
CREATE INDEX meristem_outbox_queue ON meristem_outbox (subscriber, state, seq);
DELETE FROM "sqlite_sequence";
COMMIT;
