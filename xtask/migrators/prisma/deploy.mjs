// What `prisma migrate deploy` does, by Prisma's own engine: the program itself fetches that engine from a place of its own.
//
// node deploy.mjs URL FOLDER

import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { PrismaPg } from "@prisma/adapter-pg";
import { bindMigrationAwareSqlAdapterFactory } from "@prisma/driver-adapter-utils";
import * as engine from "@prisma/schema-engine-wasm/schema_engine_bg";

const [url, folder] = process.argv.slice(2);

const wasm = createRequire(import.meta.url).resolve("@prisma/schema-engine-wasm/schema_engine_bg").replace(/js$/, "wasm");
const { instance } = await WebAssembly.instantiate(readFileSync(wasm), { "./schema_engine_bg.js": engine });
engine.__wbg_set_wasm(instance.exports);
instance.exports.__wbindgen_start();

const migrationDirectories = readdirSync(folder).sort().map((path) => ({
  path,
  migrationFile: {
    path: "migration.sql",
    content: { tag: "ok", value: readFileSync(join(folder, path, "migration.sql"), "utf8") },
  },
}));
const schema = 'datasource db {\n  provider = "postgresql"\n}\n';
// A migration goes to the server whole, as from the engine that is built in; this adapter would part it at every `;`.
class Whole extends PrismaPg {
  async connect() {
    const adapter = await super.connect();
    adapter.executeScript = async (script) => {
      await adapter.client.query(script).catch((error) => adapter.onError(error));
    };
    return adapter;
  }
}
const adapter = bindMigrationAwareSqlAdapterFactory(new Whole({ connectionString: url }));
const prisma = await engine.SchemaEngine.new({ datamodels: [["schema.prisma", schema]] }, () => {}, adapter);
try {
  const { appliedMigrationNames } = await prisma.applyMigrations({
    migrationsList: {
      baseDir: folder,
      lockfile: { path: "migration_lock.toml", content: 'provider = "postgresql"\n' },
      shadowDbInitScript: "",
      migrationDirectories,
    },
    filters: { externalTables: [], externalEnums: [] },
  });
  console.log(appliedMigrationNames.join("\n"));
  process.exit(0);
} catch (error) {
  console.error(error);
  process.exit(1);
}
