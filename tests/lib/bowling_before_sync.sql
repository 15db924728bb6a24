-- The tables of the app bowling as they were made before they were synced: what sql/migrations/0016-datasets-synced.sql has to deal with.
CREATE SCHEMA IF NOT EXISTS "bowling";
GRANT USAGE ON SCHEMA "bowling" TO "tidegate_api";
GRANT USAGE ON SCHEMA "bowling" TO "tidegate_worker";

CREATE TABLE IF NOT EXISTS "bowling"."house" (
    "id" uuid NOT NULL DEFAULT gen_random_uuid(),
    "space" text COLLATE "C" NOT NULL,
    "name" text NOT NULL,
    "name_key" text COLLATE "C" NOT NULL,
    "location" text,
    "created_at" timestamp with time zone NOT NULL DEFAULT now(),
    PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX IF NOT EXISTS "house_name" ON "bowling"."house" USING btree ("space", "name_key");
ALTER TABLE "bowling"."house" ENABLE ROW LEVEL SECURITY;

CREATE POLICY "tidegate_api" ON "bowling"."house" TO "tidegate_api"
    USING ("space" = current_setting('tidegate.space', true))
    WITH CHECK ("space" = current_setting('tidegate.space', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON "bowling"."house" TO "tidegate_api";

CREATE POLICY "tidegate_worker" ON "bowling"."house" TO "tidegate_worker"
    USING ("space" = current_setting('tidegate.space', true))
    WITH CHECK ("space" = current_setting('tidegate.space', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON "bowling"."house" TO "tidegate_worker";

CREATE TABLE IF NOT EXISTS "bowling"."pattern" (
    "id" uuid NOT NULL DEFAULT gen_random_uuid(),
    "space" text COLLATE "C" NOT NULL,
    "name" text NOT NULL,
    "name_key" text COLLATE "C" NOT NULL,
    "length" integer,
    "created_at" timestamp with time zone NOT NULL DEFAULT now(),
    PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX IF NOT EXISTS "pattern_name" ON "bowling"."pattern" USING btree ("space", "name_key");
ALTER TABLE "bowling"."pattern" ENABLE ROW LEVEL SECURITY;

CREATE POLICY "tidegate_api" ON "bowling"."pattern" TO "tidegate_api"
    USING ("space" = current_setting('tidegate.space', true))
    WITH CHECK ("space" = current_setting('tidegate.space', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON "bowling"."pattern" TO "tidegate_api";

CREATE POLICY "tidegate_worker" ON "bowling"."pattern" TO "tidegate_worker"
    USING ("space" = current_setting('tidegate.space', true))
    WITH CHECK ("space" = current_setting('tidegate.space', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON "bowling"."pattern" TO "tidegate_worker";

CREATE TABLE IF NOT EXISTS "bowling"."ball" (
    "id" uuid NOT NULL,
    "space" text COLLATE "C" NOT NULL,
    "dataset_id" uuid NOT NULL,
    "source_id" text COLLATE "C" NOT NULL,
    "name" text NOT NULL,
    "name_key" text COLLATE "C" NOT NULL,
    "brand" text,
    "coverstock" text,
    "sort_order" bigint,
    PRIMARY KEY ("id")
);
CREATE INDEX IF NOT EXISTS "ball_dataset" ON "bowling"."ball" USING btree ("dataset_id", "name_key");
ALTER TABLE "bowling"."ball" ENABLE ROW LEVEL SECURITY;

CREATE POLICY "tidegate_api" ON "bowling"."ball" TO "tidegate_api"
    USING ("space" = current_setting('tidegate.space', true))
    WITH CHECK ("space" = current_setting('tidegate.space', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON "bowling"."ball" TO "tidegate_api";

CREATE POLICY "tidegate_worker" ON "bowling"."ball" TO "tidegate_worker"
    USING ("space" = current_setting('tidegate.space', true))
    WITH CHECK ("space" = current_setting('tidegate.space', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON "bowling"."ball" TO "tidegate_worker";

CREATE TABLE IF NOT EXISTS "bowling"."league" (
    "id" uuid NOT NULL,
    "space" text COLLATE "C" NOT NULL,
    "dataset_id" uuid NOT NULL,
    "source_id" text COLLATE "C" NOT NULL,
    "house_id" uuid,
    "pattern_id" uuid,
    "ball_id" uuid,
    "name" text NOT NULL,
    "kind" text COLLATE "C" NOT NULL CHECK ("kind" IN ('league', 'tournament')),
    "games_per_session" bigint,
    "notes" text,
    "sort_order" bigint,
    "flags" bigint,
    PRIMARY KEY ("id")
);
CREATE INDEX IF NOT EXISTS "league_dataset" ON "bowling"."league" USING btree ("dataset_id");
ALTER TABLE "bowling"."league" ENABLE ROW LEVEL SECURITY;

CREATE POLICY "tidegate_api" ON "bowling"."league" TO "tidegate_api"
    USING ("space" = current_setting('tidegate.space', true))
    WITH CHECK ("space" = current_setting('tidegate.space', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON "bowling"."league" TO "tidegate_api";

CREATE POLICY "tidegate_worker" ON "bowling"."league" TO "tidegate_worker"
    USING ("space" = current_setting('tidegate.space', true))
    WITH CHECK ("space" = current_setting('tidegate.space', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON "bowling"."league" TO "tidegate_worker";

CREATE TABLE IF NOT EXISTS "bowling"."session" (
    "id" uuid NOT NULL,
    "space" text COLLATE "C" NOT NULL,
    "dataset_id" uuid NOT NULL,
    "source_id" text COLLATE "C" NOT NULL,
    "league_id" uuid,
    "house_id" uuid,
    "pattern_id" uuid,
    "ball_id" uuid,
    "played_at" timestamp with time zone,
    "played_on" date,
    "lane" integer,
    "lane_context" jsonb,
    "notes" text,
    "notes_json" jsonb,
    PRIMARY KEY ("id")
);
CREATE INDEX IF NOT EXISTS "session_dataset" ON "bowling"."session" USING btree ("dataset_id", "played_on");
ALTER TABLE "bowling"."session" ENABLE ROW LEVEL SECURITY;

CREATE POLICY "tidegate_api" ON "bowling"."session" TO "tidegate_api"
    USING ("space" = current_setting('tidegate.space', true))
    WITH CHECK ("space" = current_setting('tidegate.space', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON "bowling"."session" TO "tidegate_api";

CREATE POLICY "tidegate_worker" ON "bowling"."session" TO "tidegate_worker"
    USING ("space" = current_setting('tidegate.space', true))
    WITH CHECK ("space" = current_setting('tidegate.space', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON "bowling"."session" TO "tidegate_worker";

CREATE TABLE IF NOT EXISTS "bowling"."game" (
    "id" uuid NOT NULL,
    "space" text COLLATE "C" NOT NULL,
    "dataset_id" uuid NOT NULL,
    "source_id" text COLLATE "C" NOT NULL,
    "session_id" uuid,
    "league_id" uuid,
    "house_id" uuid,
    "pattern_id" uuid,
    "ball_id" uuid,
    "game_number" integer NOT NULL,
    "played_at" timestamp with time zone,
    "total_score" integer,
    "declared_score" bigint,
    "recomputed" boolean NOT NULL,
    "complete" boolean NOT NULL,
    "frames_played" integer NOT NULL,
    "strikes" integer NOT NULL,
    "spares" integer NOT NULL,
    "opens" integer NOT NULL,
    "splits" integer NOT NULL,
    "frame_preview" jsonb NOT NULL,
    "ball_switches" jsonb NOT NULL,
    "handicap" bigint,
    "single_pin_spare_score" bigint,
    "flags" bigint,
    "lane" integer,
    "lane_context" jsonb,
    "notes" text,
    "notes_json" jsonb,
    PRIMARY KEY ("id")
);
CREATE INDEX IF NOT EXISTS "game_dataset" ON "bowling"."game" USING btree ("dataset_id", "session_id");
ALTER TABLE "bowling"."game" ENABLE ROW LEVEL SECURITY;

CREATE POLICY "tidegate_api" ON "bowling"."game" TO "tidegate_api"
    USING ("space" = current_setting('tidegate.space', true))
    WITH CHECK ("space" = current_setting('tidegate.space', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON "bowling"."game" TO "tidegate_api";

CREATE POLICY "tidegate_worker" ON "bowling"."game" TO "tidegate_worker"
    USING ("space" = current_setting('tidegate.space', true))
    WITH CHECK ("space" = current_setting('tidegate.space', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON "bowling"."game" TO "tidegate_worker";

CREATE TABLE IF NOT EXISTS "bowling"."frame" (
    "id" uuid NOT NULL,
    "space" text COLLATE "C" NOT NULL,
    "dataset_id" uuid NOT NULL,
    "game_id" uuid NOT NULL,
    "frame_number" integer NOT NULL CHECK ("frame_number" >= 1) CHECK ("frame_number" <= 10),
    "roll1" integer NOT NULL,
    "roll2" integer,
    "roll3" integer,
    "standing1" integer NOT NULL,
    "standing2" integer,
    "standing3" integer,
    "strike" boolean NOT NULL,
    "spare" boolean NOT NULL,
    "split" boolean NOT NULL,
    "score" integer,
    "ball_id" uuid,
    "pins" bigint,
    "scores" bigint,
    "flags" bigint,
    "pocket" bigint,
    "foot_board" bigint,
    "target_board" bigint,
    PRIMARY KEY ("id")
);
CREATE INDEX IF NOT EXISTS "frame_dataset" ON "bowling"."frame" USING btree ("dataset_id", "game_id", "frame_number");
ALTER TABLE "bowling"."frame" ENABLE ROW LEVEL SECURITY;

CREATE POLICY "tidegate_api" ON "bowling"."frame" TO "tidegate_api"
    USING ("space" = current_setting('tidegate.space', true))
    WITH CHECK ("space" = current_setting('tidegate.space', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON "bowling"."frame" TO "tidegate_api";

CREATE POLICY "tidegate_worker" ON "bowling"."frame" TO "tidegate_worker"
    USING ("space" = current_setting('tidegate.space', true))
    WITH CHECK ("space" = current_setting('tidegate.space', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON "bowling"."frame" TO "tidegate_worker";
