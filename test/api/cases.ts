/** For each route of the API, requests that are right and requests that are wrong: a new route needs a row here. */

/** A request: what stands behind the `?` of a GET, or the body of a POST; and the status that it gets. */
export interface Case {
  readonly ask?: string
  readonly body?: object
  readonly status: number
}

const DRAIN = { pattern: 'fra', action: 'drain', who: 'kim@ops', why: 'disk swap' }

const DRILL = { pattern: 'fra', for: '30m', who: 'kim@ops', why: 'quarterly' }

const ok = (ask = ''): Case => ({ ask, status: 200 })
const wrong = (ask: string): Case => ({ ask, status: 400 })
const done = (body: object): Case => ({ body, status: 200 })
const malformed = (body: object): Case => ({ body, status: 400 })
const refused = (body: object): Case => ({ body, status: 409 })

/** By method and path, as the description of the API has them. */
export const CASES: Readonly<Record<string, readonly [right: Case, wrong: Case, ...more: Case[]]>> = {
  'GET /live': [ok(), wrong('x=1')],
  'GET /ready': [ok(), wrong('x=1')],
  'GET /metrics': [ok(), wrong('name=x')],
  'GET /api/status': [
    ok('service=web&service=api&site=fra&hurt=yes'),
    wrong('hurt=perhaps'),
    ok(),
    ok('hurt=no'),
    wrong('site=nowhere'),
    wrong('sevice=web'),
    wrong('hurt=yes&hurt=yes'),
  ],
  'GET /api/summary': [ok(), wrong('site=fra')],
  'GET /api/openapi.json': [ok(), wrong('x=1')],
  'GET /announce': [ok(), wrong('x=1')],
  'GET /api/explain': [
    ok('name=www.example.com&client=192.0.2.1&down=fra&down=iad'),
    wrong('name=www.example.com'),
    wrong('name=www.example.com&client=nobody'),
    wrong('name=www.example.com&client=192.0.2.1&ecs=maybe'),
    wrong('name=www.example.com&name=other&client=192.0.2.1'),
    wrong(`name=${'x'.repeat(1025)}&client=192.0.2.1`),
    wrong(`name=www.example.com&client=192.0.2.1${'&down=fra'.repeat(101)}`),
  ],
  'GET /api/members': [
    ok('site=m-1&limit=1000'),
    wrong('limit=0'),
    wrong('limit=1001'),
    wrong('limit=ten'),
    wrong('site=nowhere'),
    ok('cursor=%00'),
  ],
  'GET /api/overrides': [ok('limit=1'), wrong('limit=-1'), wrong('site=fra')],
  'GET /api/outlook': [
    ok('pattern=fra'),
    wrong(''),
    wrong('pattern=far'),
    ok('pattern=fra&pattern=lon&to=30%25'),
    wrong('pattern=fra&to=most'),
  ],
  'GET /api/events': [
    ok('since=1h&site=fra&service=web&kind=verdict&kind=brake&limit=1000'),
    wrong('since=soon'),
    ok(),
    wrong('kind=wedding'),
    wrong('limit=0'),
    wrong('cursor=x'),
    wrong('sites=fra'),
  ],
  'POST /api/overrides': [
    done(DRAIN),
    malformed({ ...DRAIN, action: 'kill' }),
    done({ ...DRAIN, action: 'up', for: '2h', yes: true }),
    refused({ ...DRAIN, pattern: 'far' }),
    malformed({ ...DRAIN, to: '100%' }),
    done([DRAIN, { ...DRAIN, pattern: 'lon', action: 'up' }]),
    malformed([]),
    malformed([DRAIN, { ...DRAIN, who: '' }]),
    refused([DRAIN, { ...DRAIN, pattern: 'far' }]),
  ],
  'POST /api/freeze': [
    done({ action: 'freeze', for: '2h', who: 'kim@ops', why: 'probers move' }),
    malformed({ action: 'freeze', who: 'kim@ops', why: 'probers move' }),
    malformed({ action: 'freeze', for: 'soon', who: 'kim@ops', why: 'probers move' }),
    malformed({ action: 'freeze', for: '2h', who: 'kim@ops' }),
    malformed({ action: 'unfreeze', for: '2h', who: 'kim@ops' }),
    malformed({ action: 'thaw', who: 'kim@ops' }),
    malformed({ action: 'unfreeze', pattern: 'fra', who: 'kim@ops' }),
    refused({ action: 'unfreeze', who: 'kim@ops' }),
  ],
  'POST /api/return': [
    done({ pattern: 'fra', who: 'kim@ops', why: 'it has caught up', yes: true }),
    malformed({ who: 'kim@ops' }),
    malformed({ pattern: 'fra', for: '2h', who: 'kim@ops' }),
    refused({ pattern: 'iad', who: 'kim@ops' }),
  ],
  'GET /api/drills': [ok(), wrong('limit=1')],
  'POST /api/drills': [
    done(DRILL),
    malformed({ ...DRILL, for: undefined }),
    malformed({ ...DRILL, for: 'soon' }),
    malformed({ ...DRILL, why: '' }),
    malformed({ ...DRILL, abortIf: [] }),
    malformed({ ...DRILL, abortIf: 'last-resort' }),
    malformed({ ...DRILL, yes: true }),
    refused({ ...DRILL, pattern: 'far' }),
  ],
  'GET /api/board': [ok(), wrong('site=fra')],
  'GET /api/world': [
    ok('service=web&clients=ipv6'),
    wrong('clients=all'),
    ok(),
    wrong('service=none'),
    { ask: 'service=early', status: 503 },
  ],
  'POST /api/forget': [
    done({ prober: 'p1', who: 'kim@ops' }),
    malformed({ who: 'kim@ops' }),
    malformed({ prober: 'p1', node: 'n1', who: 'kim@ops' }),
    refused({ prober: 'p2', who: 'kim@ops' }),
  ],
  'POST /api/geo/accept': [
    done({ who: 'kim@ops' }),
    malformed({}),
    malformed({ who: 'kim@ops', yes: true }),
    refused({ who: 'kim@ops', build: 'other' }),
  ],
  'POST /api/zones/accept': [done({ who: 'kim@ops' }), malformed({ who: '' })],
  'POST /api/announce': [
    done({ state: 'announced', sinceMs: 1, why: '', isPlanned: false, others: 1 }),
    malformed({ state: 'up', sinceMs: 1, why: '', isPlanned: false, others: null }),
  ],
}
