// The workshop's model for fast-check's commands, over node's fetch.
// In: --url --bug --seed --max-requests --seconds. Out: one JSON line on how many requests it took.

import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import path from 'node:path';

// run.sh installs the packages outside the sources, where `import` would not look for them.
const require = createRequire(path.join(process.env.PEERS_NODE ?? process.cwd(), 'package.json'));
const fc = require('fast-check');

const STEPS = 50;

const { values: options } = parseArgs({
  options: {
    url: { type: 'string', default: 'http://127.0.0.1:8080' },
    bug: { type: 'string', default: 'none' },
    seed: { type: 'string', default: '0' },
    'max-requests': { type: 'string', default: '20000' },
    seconds: { type: 'string', default: '60' },
  },
});

// Requests without those that opened a workshop; runs are plans and replays.
const count = { requests: 0, runs: 0, found: null, plan: [], failing: null };

function finish(stopped, plan = null) {
  const found = count.found ?? { requests: count.requests, runs: count.runs };
  const line = {
    engine: 'fast-check',
    bug: options.bug,
    seed: Number(options.seed),
    found: count.found !== null,
    stopped,
    find_requests: found.requests,
    find_runs: found.runs,
    shrink_requests: count.requests - found.requests,
    shrink_replays: count.runs - found.runs,
    minimal_steps: plan && plan.length,
    plan,
  };
  console.log(JSON.stringify(line));
  process.exit(0);
}

class Session {
  static async open() {
    count.runs += 1;
    count.plan = [];
    const answer = await fetch(`${options.url}/workshops`, { method: 'POST' });
    const session = new Session();
    session.tokens = (await answer.json()).members.map((m) => m.token);
    return session;
  }

  async send(rule, actor, method, path, body, expected) {
    if (count.found === null && count.requests >= Number(options['max-requests'])) finish('requests');
    count.requests += 1;
    count.plan.push(`${actor} ${rule}`);
    const headers = { authorization: `Bearer ${this.tokens[actor]}`, 'content-type': 'application/json' };
    const answer = await fetch(options.url + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    expect(answer.status, expected);
    return text ? JSON.parse(text) : null;
  }
}

function expect(seen, expected) {
  if (seen === expected) return;
  count.found ??= { requests: count.requests, runs: count.runs };
  count.failing = count.plan;
  throw new Error(`${seen}, expected ${expected}`);
}

// Commands are made before the model is known, so a proposal is a number, taken modulo those that fit.
const among = (list, n) => list[n % list.length];
const having = (m, status) => m.proposals.filter((p) => p.status === status);

function command(name, check, run) {
  return (args) => ({
    check: (m) => check(m, args),
    run: (m, session) => run(m, session, args),
    toString: () => `${name}(${JSON.stringify(args)})`,
  });
}

const always = () => true;
const someProposal = (m) => m.proposals.length > 0;
const someDraft = (m) => having(m, 'draft').length > 0;

const createProposal = command('create', always, async (m, s, { actor, title, budget }) => {
  const body = await s.send('create', actor, 'POST', '/proposals', { title, budget }, 201);
  m.proposals.push({ id: body.id, author: actor, title, budget, status: 'draft', votes: new Map(), comments: 0 });
});

const submitProposal = command('submit', someDraft, async (m, s, { actor, n }) => {
  const p = among(having(m, 'draft'), n);
  const expected = p.author === actor ? 200 : 403;
  await s.send('submit', actor, 'POST', `/proposals/${p.id}/submit`, undefined, expected);
  if (expected === 200) p.status = 'submitted';
});

const reviseProposal = command('revise', someDraft, async (m, s, { actor, n, title }) => {
  const p = among(having(m, 'draft'), n);
  const expected = p.author === actor ? 200 : 403;
  await s.send('revise', actor, 'PUT', `/proposals/${p.id}`, { title }, expected);
  if (expected === 200) p.title = title;
});

const withdrawProposal = command('withdraw', someDraft, async (m, s, { actor, n }) => {
  const p = among(having(m, 'draft'), n);
  const expected = p.author === actor ? 204 : 403;
  await s.send('withdraw', actor, 'DELETE', `/proposals/${p.id}`, undefined, expected);
  if (expected === 204) m.proposals = m.proposals.filter((other) => other !== p);
});

const validateProposal = command(
  'validate',
  (m) => having(m, 'submitted').length > 0,
  async (m, s, { actor, n, verdict }) => {
    const p = among(having(m, 'submitted'), n);
    const expected = p.author === actor ? 403 : p.votes.has(actor) ? 409 : m.frozen ? 423 : 201;
    await s.send('validate', actor, 'POST', `/proposals/${p.id}/validations`, { verdict }, expected);
    if (expected !== 201) return;
    p.votes.set(actor, verdict);
    const given = (which) => [...p.votes.values()].filter((v) => v === which).length;
    if (given('approve') === 3) p.status = 'approved';
    else if (given('reject') === 2) p.status = 'rejected';
  },
);

const comment = command('comment', someProposal, async (m, s, { actor, n, text }) => {
  const p = among(m.proposals, n);
  await s.send('comment', actor, 'POST', `/proposals/${p.id}/comments`, { text }, 201);
  p.comments += 1;
});

const listProposals = command('list_proposals', always, async (m, s, { actor }) => {
  const body = await s.send('list_proposals', actor, 'GET', '/proposals', undefined, 200);
  expect(body.proposals.length, m.proposals.length);
});

const readProposal = command('read_proposal', someProposal, async (m, s, { actor, n }) => {
  const p = among(m.proposals, n);
  const body = await s.send('read_proposal', actor, 'GET', `/proposals/${p.id}`, undefined, 200);
  for (const key of ['title', 'budget', 'status', 'comments']) expect(body[key], p[key]);
  expect(body.validations, p.votes.size);
});

const claim = command('claim', always, async (m, s, { actor, hours }) => {
  const expected = m.claims.length >= 5 ? 409 : 201;
  const body = await s.send('claim', actor, 'POST', '/claims', { hours }, expected);
  if (expected === 201) m.claims.push({ id: body.id, hours });
});

const release = command(
  'release',
  (m) => m.claims.length > 0,
  async (m, s, { actor, n }) => {
    const c = among(m.claims, n);
    await s.send('release', actor, 'DELETE', `/claims/${c.id}`, undefined, 204);
    m.claims = m.claims.filter((other) => other !== c);
  },
);

const listClaims = command('list_claims', always, async (m, s, { actor }) => {
  const body = await s.send('list_claims', actor, 'GET', '/claims', undefined, 200);
  const total = (claims) => claims.reduce((sum, c) => sum + c.hours, 0);
  expect(total(body.claims), total(m.claims));
});

const toggleFreeze = command('toggle_freeze', always, async (m, s, { actor }) => {
  const body = await s.send('toggle_freeze', actor, 'POST', '/freeze', undefined, 200);
  m.frozen = !m.frozen;
  expect(body.frozen, m.frozen);
});

const actor = fc.integer({ min: 0, max: 3 });
const n = fc.nat({ max: 20 });
const text = fc.stringMatching(/^[a-z]{1,60}$/);
const title = text;
const commands = [
  fc.record({ actor, title, budget: fc.integer({ min: 1, max: 1000 }) }).map(createProposal),
  fc.record({ actor, n }).map(submitProposal),
  fc.record({ actor, n, title }).map(reviseProposal),
  fc.record({ actor, n }).map(withdrawProposal),
  fc.record({ actor, n, verdict: fc.constantFrom('approve', 'reject') }).map(validateProposal),
  fc.record({ actor, n, text }).map(comment),
  fc.record({ actor }).map(listProposals),
  fc.record({ actor, n }).map(readProposal),
  fc.record({ actor, hours: fc.integer({ min: 1, max: 8 }) }).map(claim),
  fc.record({ actor, n }).map(release),
  fc.record({ actor }).map(listClaims),
  fc.record({ actor }).map(toggleFreeze),
];

setTimeout(() => finish('time'), Number(options.seconds) * 1000).unref();

// By default a plan has ten commands at most, whatever `maxCommands` says.
const plans = fc.commands(commands, { maxCommands: STEPS, size: 'max' });
const property = fc.asyncProperty(plans, async (plan) => {
  const session = await Session.open();
  const model = { frozen: false, proposals: [], claims: [] };
  await fc.asyncModelRun(() => ({ model, real: session }), plan);
});
const outcome = await fc.check(property, { seed: Number(options.seed), numRuns: 1_000_000 });
finish(outcome.failed ? '' : 'nothing found', count.failing);
