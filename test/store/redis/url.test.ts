import { describe, expect, test } from 'vitest'
import { openRedisStore, parseRedisUrl } from '../../../src/store/redis/store.ts'
import { explain, tooOld } from '../../../src/store/redis/trouble.ts'
import type { RedisPlace } from '../../../src/store/redis/url.ts'

const place = (url: string): RedisPlace => {
  const parsed = parseRedisUrl(url)
  if (typeof parsed === 'string') throw new Error(parsed)
  return parsed
}

describe('a URL of Redis', () => {
  test.each<[string, Partial<RedisPlace>]>([
    [
      'redis://redis.example',
      { kind: 'single', hosts: [{ host: 'redis.example', port: 6379 }], db: 0, tls: undefined },
    ],
    ['redis://fra:p%40ss%2F%25@10.0.0.5:6380/3', { user: 'fra', password: 'p@ss/%', db: 3, address: '10.0.0.5:6380' }],
    ['redis://:secret@[2001:db8::1]:6379', { user: undefined, password: 'secret', address: '[2001:db8::1]:6379' }],
    ['rediss://redis.example', { tls: {} }],
    [
      'redis+sentinel://u:p@a,b:26380/eu/2',
      { kind: 'sentinel', master: 'eu', db: 2, address: 'a:26379,b:26380', user: 'u' },
    ],
    [
      'redis+sentinel://a/eu?sentinel-user=s&sentinel-password=x%26y',
      { sentinelUser: 's', sentinelPassword: 'x&y', db: 0 },
    ],
    ['rediss+cluster://a:7000,b:7001', { kind: 'cluster', tls: {}, address: 'a:7000,b:7001' }],
  ])('%s', (url, wanted) => {
    expect(parseRedisUrl(url)).toMatchObject(wanted)
  })

  test.each([
    ['http://a', /is not of the form redis:\/\/user:password@host:port\/database/],
    ['redis://', /is not of the form/],
    ['redis://u:secret@x@host', /is not of the form .* in a password @ is written %40/],
    ['redis://secret@host', /has a user without a password/],
    ['redis://u:%zz@host', /percent-encoding/],
    ['redis://host:0', /has no host:port, port 1–65535, in place 1/],
    ['redis://a,host:99999', /has no host:port, port 1–65535, in place 2/],
    ['redis://:secret', /in place 1/],
    ['redis://u:se/cret@host', /is not of the form .* \/ is %2F/],
    ['redis+sentinel://u:12/secret@h:26379/0', /is not of the form/],
    ['redis://u:12?secret@h', /is not of the form/],
    ['redis://h?secret', /an unknown parameter/],
    ['redis://h/secret', /where a database's number is wanted/],
    ['redis://2001:db8::1', /IPv6 addresses stand in brackets/],
    ['redis://a,b', /more than one host: redis\+sentinel:\/\/ or redis\+cluster/],
    ['redis://host/eu', /has another text where a database's number is wanted/],
    ['redis+sentinel://a', /names no master/],
    ['redis+cluster://a/1', /a cluster has only number 0/],
    ['redis://host?ca=/x', /certificates without TLS/],
    ['rediss://host?ca=/no/such.pem', /names a file in its parameter ca that can't be read: ENOENT$/],
    ['redis://host?timeout=3', /an unknown parameter; there are ca, cert, key/],
  ])('%s is refused', (url, line) => {
    const told = parseRedisUrl(url)
    expect(told).toMatch(line)
    expect(told).not.toContain('secret')
    expect(() => openRedisStore(url)).toThrow(/^the setting `redis` /)
  })
})

test.each([
  ['5.0.3', true],
  ['6.0.16', true],
  ['6.2.0', false],
  ['7.0.15', false],
  ['10.1.0', false],
])('Redis %s is too old: %s', (version, old) => {
  expect(tooOld(version)).toBe(old ? `Redis ${version} is too old: 6.2 or newer is needed` : undefined)
})

test.each([
  ["READONLY You can't write against a read only replica. script: 1f, on @user_script:40.", /read-only replica/],
  ["OOM command not allowed when used memory > 'maxmemory'. script: 1f", /raise its maxmemory/],
  [
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    /can't save to its disk/,
  ],
  ['LOADING Redis is loading the dataset in memory', /is loading its data/],
  ['CLUSTERDOWN Hash slot not served', /out of order: CLUSTERDOWN/],
  ['WRONGTYPE Operation against a key holding the wrong kind of value', /foreign data under the keys \{meridian\}/],
  ['ERR max number of clients reached', /raise its maxclients/],
  ['ERR DB index is out of range', /has no database 3/],
  ['something that nobody has thought of', /^Redis at 10\.0\.0\.5:6379: something that nobody has thought of$/],
])('%s', (text, line) => {
  const told = explain(new Error(text), place('redis://fra:secret@10.0.0.5/3'))
  expect(told).toMatch(line)
  expect(told).toContain('10.0.0.5:6379')
  expect(told).not.toContain('secret')
})
