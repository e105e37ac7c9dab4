// What a public library makes of PATCH: 47 random documents and operations, and its answers, written to patch-oracle.json.
//
//   npm install --no-save --prefix /tmp/oracle scim-patch@0.8.3
//   NODE_PATH=/tmp/oracle/node_modules node tests/samples/patch-oracle.mjs
//
// The same seed writes the same file. The tests read the file alone, and need neither node nor the library.

import { createRequire } from "node:module";
import { writeFileSync } from "node:fs";

const { scimPatch } = createRequire(`${process.env.NODE_PATH}/`)("scim-patch");

const DOCUMENTS = 47;
const ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const SCHEMAS = { User: "urn:ietf:params:scim:schemas:core:2.0:User", Group: "urn:ietf:params:scim:schemas:core:2.0:Group" };

let state = 20261128;
function random() {
  // mulberry32
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const below = (n) => Math.floor(random() * n);
const one = (list) => list[below(list.length)];
const maybe = (make) => (random() < 0.6 ? make() : undefined);
const several = (most, make) => Array.from({ length: 1 + below(most) }, make);

const TEXTS = ["Kari", "Ola", "Anlegg", "Bygg", "1042", "0042", "Ærlig Ås", "x y"];
const KINDS = ["work", "home", "other"];
const IDS = ["id-1", "id-2", "id-3", "id-4"];
const text = () => one(TEXTS);

const email = () => ({ type: one(KINDS), value: `${one(["kari", "ola", "per"])}@${one(["x.no", "y.no"])}` });
const phone = () => ({ type: one(["mobile", "work"]), value: `+47 900 0000${below(10)}` });
const address = () => ({ type: one(KINDS), locality: text(), country: one(["NO", "SE"]) });
const LISTS = { emails: email, phoneNumbers: phone, addresses: address };

function distinct(entries) {
  return entries.filter((each, at) => entries.findIndex((other) => other.type === each.type) === at);
}

function user() {
  return {
    schemas: [SCHEMAS.User, ENTERPRISE],
    userName: "kari",
    title: maybe(text),
    displayName: maybe(text),
    active: maybe(() => random() < 0.5),
    name: maybe(() => ({ givenName: text(), familyName: text() })),
    emails: maybe(() => distinct(several(3, email))),
    phoneNumbers: maybe(() => distinct(several(2, phone))),
    addresses: maybe(() => distinct(several(2, address))),
    [ENTERPRISE]: { department: text(), costCenter: maybe(text), manager: maybe(() => ({ value: one(IDS) })) },
  };
}

function members() {
  return IDS.filter(() => random() < 0.5).map((value) => ({ value }));
}

const group = () => ({ schemas: [SCHEMAS.Group], displayName: text(), members: members() });

function userOperation() {
  const op = one(["add", "replace", "add", "replace", "remove"]);
  const list = one(Object.keys(LISTS));
  const make = LISTS[list];
  const kind = make().type;
  const selected = `${list}[type eq "${kind}"]`;
  const part = list === "addresses" ? "locality" : "value";
  const entry = make();
  const choices = [
    { path: one(["title", "displayName", "nickName", "name.givenName", "name.familyName"]), value: text() },
    { path: `${ENTERPRISE}:${one(["department", "costCenter", "division"])}`, value: text() },
    { path: "active", value: random() < 0.5 },
    { path: "name", value: { givenName: text() } },
    { path: list, value: [entry] },
    { path: `${selected}.${part}`, value: entry[part] },
    { path: selected, value: { ...entry, type: kind } },
    { value: { title: text(), name: { familyName: text() } } },
    { value: { [ENTERPRISE]: { department: text() } } },
  ];
  const chosen = one(op === "remove" ? choices.slice(0, 7) : choices);
  return op === "remove" ? { op, path: chosen.path } : { op, ...chosen };
}

function groupOperation() {
  const id = one(IDS);
  return one([
    { op: "add", path: "members", value: [{ value: id }] },
    { op: "add", path: "members", value: several(3, () => ({ value: one(IDS) })) },
    { op: "replace", path: "members", value: members() },
    { op: "remove", path: `members[value eq "${id}"]` },
    { op: "remove", path: "members", value: [{ value: id }] },
    { op: "remove", path: "members" },
    { op: "replace", path: "displayName", value: text() },
    { op: "add", value: { displayName: text(), members: [{ value: id }] } },
  ]);
}

const plain = (value) => JSON.parse(JSON.stringify(value));

// Each operation goes on from what the library made of the one before; one that it refuses changes nothing.
function steps(document, operations) {
  let current = document;
  return operations.map((operation) => {
    try {
      const options = { mutateDocument: false, treatMissingAsAdd: true };
      current = plain(scimPatch(plain(current), [plain(operation)], options));
      return { operation, result: current };
    } catch (error) {
      return { operation, error: error.constructor.name };
    }
  });
}

const cases = Array.from({ length: DOCUMENTS }, (_, at) => {
  const kind = at % 4 === 3 ? "Group" : "User";
  const document = plain(kind === "User" ? user() : group());
  const operations = plain(several(4, kind === "User" ? userOperation : groupOperation));
  return { id: `${kind.toLowerCase()}-${at}`, kind, document, steps: steps(document, operations) };
});

const oracle = { library: "scim-patch 0.8.3 (npm, Unlicense)", written_by: "tests/samples/patch-oracle.mjs", cases };
writeFileSync(new URL("patch-oracle.json", import.meta.url), `${JSON.stringify(oracle, null, 1)}\n`);
