BEGIN TRANSACTION;
CREATE TABLE attempts (
	job_id VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	worker VARCHAR(128) NOT NULL, 
	prefix VARCHAR(512) NOT NULL, 
	started_at DOUBLE NOT NULL, 
	writable_until DOUBLE NOT NULL, 
	ended_at DOUBLE, 
	outcome VARCHAR(16), 
	PRIMARY KEY (job_id, number)
);
INSERT INTO "attempts" VALUES('11540c99c6bb46afbe148a884ce01122',1,'local-2ffbabde-cpu-35aea579e52d','outputs/7189bc7831834284ad95fe32711e2542/gain/half/11540c99c6bb46afbe148a884ce01122-1/',1.79609346044092059134e+09,1.79609718044092059137e+09,1.79609346047948431968e+09,'completed');
INSERT INTO "attempts" VALUES('f8f151d4541742b7ba68a3e7f62d9857',1,'local-2ffbabde-cpu-35aea579e52d','outputs/c2cb69286330403f9f848b6661d4b1d5/gain/half/f8f151d4541742b7ba68a3e7f62d9857-1/',1.79609346051106262207e+09,1.79609718051106262209e+09,1.79609346052905941007e+09,'failed');
INSERT INTO "attempts" VALUES('95212519947649a19c5de97ec896b5e0',1,'local-2ffbabde-cpu-35aea579e52d','outputs/84267c0660ef4ad7a88743f7f2653e56/gain/half/95212519947649a19c5de97ec896b5e0-1/',1.79609346055456137658e+09,1.7960971805545613766e+09,NULL,NULL);
CREATE TABLE deliveries (
	id VARCHAR(80) NOT NULL, 
	job_id VARCHAR(64) NOT NULL, 
	url TEXT NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	request_id VARCHAR(128) NOT NULL, 
	correlation_id VARCHAR(128), 
	created_at DOUBLE NOT NULL, 
	due_at DOUBLE NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	tries INTEGER NOT NULL, 
	lease_until DOUBLE, 
	revision INTEGER NOT NULL, 
	body BLOB, 
	status INTEGER, 
	error TEXT, 
	ended_at DOUBLE, 
	PRIMARY KEY (id), 
	UNIQUE (job_id)
);
INSERT INTO "deliveries" VALUES('msg_told','told','http://127.0.0.1:9/told','split','673ccf7cffe441db8c0967fa39374812',NULL,1.79609346157703661916e+09,1.79609346157703661916e+09,'pending',0,NULL,0,NULL,NULL,NULL,NULL);
CREATE TABLE idempotency_keys (
	owner VARCHAR(255) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	job_id VARCHAR(64) NOT NULL, 
	created_at DOUBLE NOT NULL, 
	PRIMARY KEY (owner, "key")
);
INSERT INTO "idempotency_keys" VALUES('anonymous','the key of the finished job','8213046e3217559246748e7efefe36f696b8badce2983e605712def6f5d18d7f','11540c99c6bb46afbe148a884ce01122',1.79609346007944273944e+09);
CREATE TABLE jobs (
	id VARCHAR(64) NOT NULL, 
	track_id VARCHAR(64) NOT NULL, 
	owner VARCHAR(255) NOT NULL, 
	model VARCHAR(100) NOT NULL, 
	variation VARCHAR(100) NOT NULL, 
	params JSON NOT NULL, 
	outputs JSON NOT NULL, 
	work_key VARCHAR(64) NOT NULL, 
	created_at DOUBLE NOT NULL, 
	request_id VARCHAR(128) NOT NULL, 
	extras JSON NOT NULL, 
	priority INTEGER NOT NULL, 
	dialect VARCHAR(32) NOT NULL, 
	available_at DOUBLE NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	attempt INTEGER NOT NULL, 
	failures INTEGER NOT NULL, 
	worker VARCHAR(128), 
	lease_until DOUBLE, 
	started_at DOUBLE, 
	finished_at DOUBLE, 
	expires_at DOUBLE, 
	progress JSON NOT NULL, 
	artifacts JSON NOT NULL, 
	report JSON NOT NULL, 
	error JSON, 
	revision INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "jobs" VALUES('11540c99c6bb46afbe148a884ce01122','7189bc7831834284ad95fe32711e2542','anonymous','gain','half','{"segments": 2, "sleep": 0.0, "crash": 0, "fail": "", "fail_retryable": 0, "raise": false, "forget": false, "format": "wav", "normalize": false, "deaf": 0.0, "spill": 0, "hold": 0}','[{"name": "quiet", "filename": "quiet.wav", "content_type": "audio/wav", "role": "stem"}, {"name": "rest", "filename": "rest.wav", "content_type": "audio/wav", "role": "stem"}]','55bdd6fc63e6cd94c9e2630c35fbd81c5d7c8c022c2f0cf98fb6b27399dae4f0',1.79609346007944273944e+09,'96cce4cd7312413ab2e6331f9c2ad78d','{"dialect": "studio", "priority": 5, "private": false, "reuse": false, "keep_seconds": null, "max_bytes": null, "max_seconds": null, "webhook": null, "upload_urls": {}, "labels": {}, "correlation_id": null, "traceparent": null}',5,'studio',1.79609346007944273944e+09,'completed',1,0,NULL,NULL,1.79609346044092059134e+09,1.79609346047948431968e+09,NULL,'{"done": 1, "total": 1, "stage": "completed", "message": "", "eta_seconds": null}','[{"name": "quiet", "key": "outputs/7189bc7831834284ad95fe32711e2542/gain/half/11540c99c6bb46afbe148a884ce01122-1/quiet.wav", "content_type": "audio/wav", "size": 364, "sha256": "8908ccac88cf8caea62987e8b731afa44e3d10b5f2a5abb422628842dd710ea1", "duration": 0.02, "crc32": 928631061, "role": "stem"}, {"name": "rest", "key": "outputs/7189bc7831834284ad95fe32711e2542/gain/half/11540c99c6bb46afbe148a884ce01122-1/rest.wav", "content_type": "audio/wav", "size": 364, "sha256": "c000aefde50ecb6e21436c3c3be5acd793a0e8a96081302dacffa297129ca365", "duration": 0.02, "crc32": 882686242, "role": "stem"}]','{"device": "cpu", "sum_db": -120.0, "stage_seconds": {"starting": 0.003, "fetching": 0.008, "loading": 0.001, "separating": 0.001, "encoding": 0.001, "uploading": 0.01}}',NULL,3);
INSERT INTO "jobs" VALUES('f8f151d4541742b7ba68a3e7f62d9857','c2cb69286330403f9f848b6661d4b1d5','anonymous','gain','half','{"segments": 4, "sleep": 0.0, "crash": 0, "fail": "no_use", "fail_retryable": 0, "raise": false, "forget": false, "format": "wav", "normalize": false, "deaf": 0.0, "spill": 0, "hold": 0}','[{"name": "quiet", "filename": "quiet.wav", "content_type": "audio/wav", "role": "stem"}, {"name": "rest", "filename": "rest.wav", "content_type": "audio/wav", "role": "stem"}]','2e5d20e823601db745d02bc5d027f804f19e88bda6d767e13623b5106b916d7b',1.79609346050839138028e+09,'cb061436203d4cfabbf6a2195995ac09','{"dialect": "studio", "priority": 5, "private": false, "reuse": false, "keep_seconds": null, "max_bytes": null, "max_seconds": null, "webhook": null, "upload_urls": {}, "labels": {}, "correlation_id": null, "traceparent": null}',5,'studio',1.79609346050839138028e+09,'failed',1,1,NULL,NULL,1.79609346051106262207e+09,1.79609346052905941007e+09,NULL,'{"done": 0, "total": 0, "stage": "starting", "message": "", "eta_seconds": null}','[]','{}','{"code": "no_use", "message": "failed.wav was to fail.", "retryable": false}',3);
INSERT INTO "jobs" VALUES('95212519947649a19c5de97ec896b5e0','84267c0660ef4ad7a88743f7f2653e56','anonymous','gain','half','{"segments": 3, "sleep": 0.5, "crash": 0, "fail": "", "fail_retryable": 0, "raise": false, "forget": false, "format": "wav", "normalize": false, "deaf": 0.0, "spill": 0, "hold": 0}','[{"name": "quiet", "filename": "quiet.wav", "content_type": "audio/wav", "role": "stem"}, {"name": "rest", "filename": "rest.wav", "content_type": "audio/wav", "role": "stem"}]','9bdaa6a9534f145f58a23a78f12a7616b753752abf1729a0972c243918b60dc0',1.79609346055220818515e+09,'efa1bc77795a483dbf160239c1b809ae','{"dialect": "studio", "priority": 5, "private": false, "reuse": false, "keep_seconds": null, "max_bytes": null, "max_seconds": null, "webhook": null, "upload_urls": {}, "labels": {}, "correlation_id": null, "traceparent": null}',5,'studio',1.79609346055220818515e+09,'running',1,0,'local-2ffbabde-cpu-35aea579e52d',1.79609352056457400323e+09,1.79609346055456137658e+09,NULL,NULL,'{"done": 0, "total": 0, "stage": "fetching", "message": "", "eta_seconds": null}','[]','{}',NULL,2);
INSERT INTO "jobs" VALUES('68619ae6efb14cdbb515fdfdf8b0d20d','2d5c39383076493b8f9684e1abbc968c','anonymous','gain','half','{"segments": 4, "sleep": 0.0, "crash": 0, "fail": "", "fail_retryable": 0, "raise": false, "forget": false, "format": "wav", "normalize": false, "deaf": 0.0, "spill": 0, "hold": 0}','[{"name": "quiet", "filename": "quiet.wav", "content_type": "audio/wav", "role": "stem"}, {"name": "rest", "filename": "rest.wav", "content_type": "audio/wav", "role": "stem"}]','991f47fa349dfe18077a3908bf5d2dad2d50ece3b5d551f957c42df595adc6a4',1.79609346057703661916e+09,'673ccf7cffe441db8c0967fa39374812','{"dialect": "studio", "priority": 5, "private": false, "reuse": false, "keep_seconds": null, "max_bytes": null, "max_seconds": null, "webhook": null, "upload_urls": {}, "labels": {}, "correlation_id": null, "traceparent": null}',5,'studio',1.79609346057703661916e+09,'queued',0,0,NULL,NULL,NULL,NULL,NULL,'{"done": 0, "total": 0, "stage": "queued", "message": "", "eta_seconds": null}','[]','{}',NULL,0);
INSERT INTO "jobs" VALUES('told','2d5c39383076493b8f9684e1abbc968c','anonymous','gain','half','{"segments": 4, "sleep": 0.0, "crash": 0, "fail": "", "fail_retryable": 0, "raise": false, "forget": false, "format": "wav", "normalize": false, "deaf": 0.0, "spill": 0, "hold": 0}','[{"name": "quiet", "filename": "quiet.wav", "content_type": "audio/wav", "role": "stem"}, {"name": "rest", "filename": "rest.wav", "content_type": "audio/wav", "role": "stem"}]','told',1.79609346057703661916e+09,'673ccf7cffe441db8c0967fa39374812','{"dialect": "split", "priority": 5, "private": false, "reuse": false, "keep_seconds": null, "max_bytes": null, "max_seconds": null, "webhook": {"url": "http://127.0.0.1:9/told", "kind": "split"}, "upload_urls": {}, "labels": {}, "correlation_id": null, "traceparent": null}',5,'split',1.79609346057703661916e+09,'canceled',0,0,NULL,NULL,NULL,1.79609346157703661916e+09,NULL,'{"done": 0, "total": 0, "stage": "queued", "message": "", "eta_seconds": null}','[]','{}',NULL,1);
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(3);
CREATE TABLE seen_signatures (
	signature VARCHAR(80) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	until DOUBLE NOT NULL, 
	PRIMARY KEY (signature)
);
CREATE TABLE tallies (
	name VARCHAR(40) NOT NULL, 
	labels VARCHAR(400) NOT NULL, 
	amount DOUBLE NOT NULL, 
	PRIMARY KEY (name, labels)
);
INSERT INTO "tallies" VALUES('audio_seconds_sum','{"device": "cpu", "model": "half", "service": "gain"}',0.02);
INSERT INTO "tallies" VALUES('jobs','{"dialect": "studio", "model": "half", "service": "gain", "status": "completed"}',1.0);
INSERT INTO "tallies" VALUES('loading_seconds_sum','{"device": "cpu", "model": "half", "service": "gain"}',0.001);
INSERT INTO "tallies" VALUES('processing_seconds','{"le": "1", "model": "half", "service": "gain"}',1.0);
INSERT INTO "tallies" VALUES('processing_seconds_sum','{"device": "cpu", "model": "half", "service": "gain"}',0.024);
INSERT INTO "tallies" VALUES('stage_seconds_count','{"stage": "encoding"}',1.0);
INSERT INTO "tallies" VALUES('stage_seconds_count','{"stage": "fetching"}',1.0);
INSERT INTO "tallies" VALUES('stage_seconds_count','{"stage": "loading"}',1.0);
INSERT INTO "tallies" VALUES('stage_seconds_count','{"stage": "separating"}',1.0);
INSERT INTO "tallies" VALUES('stage_seconds_count','{"stage": "starting"}',1.0);
INSERT INTO "tallies" VALUES('stage_seconds_count','{"stage": "uploading"}',1.0);
INSERT INTO "tallies" VALUES('stage_seconds_sum','{"stage": "encoding"}',0.001);
INSERT INTO "tallies" VALUES('stage_seconds_sum','{"stage": "fetching"}',0.008);
INSERT INTO "tallies" VALUES('stage_seconds_sum','{"stage": "loading"}',0.001);
INSERT INTO "tallies" VALUES('stage_seconds_sum','{"stage": "separating"}',0.001);
INSERT INTO "tallies" VALUES('stage_seconds_sum','{"stage": "starting"}',0.003);
INSERT INTO "tallies" VALUES('stage_seconds_sum','{"stage": "uploading"}',0.01);
INSERT INTO "tallies" VALUES('errors','{"code": "no_use"}',1.0);
INSERT INTO "tallies" VALUES('jobs','{"dialect": "studio", "model": "half", "service": "gain", "status": "failed"}',1.0);
INSERT INTO "tallies" VALUES('jobs','{"dialect": "split", "model": "half", "service": "gain", "status": "canceled"}',1.0);
CREATE TABLE tracks (
	id VARCHAR(64) NOT NULL, 
	owner VARCHAR(255) NOT NULL, 
	filename VARCHAR(255) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	created_at DOUBLE NOT NULL, 
	upload_until DOUBLE NOT NULL, 
	request_id VARCHAR(128) NOT NULL, 
	source VARCHAR(32) NOT NULL, 
	source_url TEXT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	declared_size BIGINT, 
	declared_sha256 VARCHAR(64), 
	size BIGINT, 
	sha256 VARCHAR(64), 
	media_type VARCHAR(64), 
	duration DOUBLE, 
	sample_rate INTEGER, 
	transient BOOLEAN NOT NULL, 
	used_at DOUBLE NOT NULL, 
	revision INTEGER NOT NULL, 
	written_revision INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT tracks_owner_sha256 UNIQUE (owner, sha256)
);
INSERT INTO "tracks" VALUES('7189bc7831834284ad95fe32711e2542','anonymous','finished.wav','uploads/7189bc7831834284ad95fe32711e2542',1.79609346004910588262e+09,1.79609706004910588267e+09,'ad331ba38b944dc5a0e95f76c7499905','','','ready',364,NULL,364,'33f48e0666897151d6867c268d250c9c9ea4be559055dde89005196dbe38c236','audio/wav',0.02,8000,0,1.79609346007944273944e+09,1,1);
INSERT INTO "tracks" VALUES('c2cb69286330403f9f848b6661d4b1d5','anonymous','failed.wav','uploads/c2cb69286330403f9f848b6661d4b1d5',1.79609346050085377692e+09,1.79609706050085377688e+09,'ac97174fa24b4b1e86f262e484e25faf','','','ready',364,NULL,364,'51d11dc1e3b693aab14a135574c98952ef0e12f803a77a35bcc6addca2ec4992','audio/wav',0.02,8000,0,1.79609346050839138028e+09,0,0);
INSERT INTO "tracks" VALUES('84267c0660ef4ad7a88743f7f2653e56','anonymous','running.wav','uploads/84267c0660ef4ad7a88743f7f2653e56',1.7960934605438575745e+09,1.79609706054385757445e+09,'fb81ac911d7c44fe89971d254e2af9ae','','','ready',364,NULL,364,'fa963b77a23f78a3cba5fa66af7f5b58c34765def31c17374d3979821b7d8b3f','audio/wav',0.02,8000,0,1.79609346055220818515e+09,0,0);
INSERT INTO "tracks" VALUES('2d5c39383076493b8f9684e1abbc968c','anonymous','queued.wav','uploads/2d5c39383076493b8f9684e1abbc968c',1796093460.56649,1796097060.56649,'4394d40c1ae04736992fdbce98fe525b','','','ready',364,NULL,364,'780030f443517e722521e83ef90904208541f06cc122c8b8a07546292a3a5051','audio/wav',0.02,8000,0,1.79609346057703661916e+09,0,0);
CREATE TABLE workers (
	worker VARCHAR(128) NOT NULL, 
	device VARCHAR(64) NOT NULL, 
	models JSON NOT NULL, 
	seen_at DOUBLE NOT NULL, 
	PRIMARY KEY (worker)
);
INSERT INTO "workers" VALUES('local-2ffbabde-cpu-35aea579e52d','cpu','["gain"]',1.79609346043839955327e+09);
CREATE INDEX tracks_state ON tracks (state);
CREATE INDEX jobs_work ON jobs (work_key);
CREATE INDEX jobs_track ON jobs (track_id);
CREATE INDEX jobs_queue ON jobs (state, priority, created_at);
CREATE INDEX jobs_history ON jobs (owner, dialect, created_at);
CREATE INDEX attempts_outcome ON attempts (outcome);
CREATE INDEX seen_signatures_until ON seen_signatures (until);
CREATE INDEX deliveries_due ON deliveries (state, due_at);
COMMIT;
