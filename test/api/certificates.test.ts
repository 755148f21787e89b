/** The ends of sites' certificates, as a process shows those that its own prober saw. */
import { expect, test } from 'vitest'
import { renderMetrics } from '../../src/api/metrics.ts'
import { certificateTroubles, type OwnProber, ownProberSamples, ownProberStatus } from '../../src/api/probing.ts'
import { statusOf } from '../../src/api/status.ts'
import { summaryOf } from '../../src/api/summary.ts'
import type { TargetReport } from '../../src/probe/thread.ts'
import { DAY_MS } from '../../src/units.ts'
import { prober, served } from '../cli/fleet.ts'
import { httpCheck, tcpCheck } from '../support/specs.ts'

const nowMs = Date.now()
const target = (address: string, host: string | undefined, days: number, warnDays = 14): TargetReport => {
  const endMs = Math.floor(nowMs / 1000) * 1000 + days * DAY_MS
  return {
    target: {
      id: `${address} ${host} ${days}`,
      check: httpCheck({ type: 'https', port: 443, ...(host !== undefined && { host }) }),
      address,
      port: 443,
      probers: 3,
    },
    lastRunMs: 1,
    vote: undefined,
    heldDownMs: 0,
    certificate: { endMs, warnMs: endMs - warnDays * DAY_MS },
  }
}
const seconds = ({ certificate }: TargetReport): number => certificate!.endMs / 1000

const fra = target('192.0.2.1', 'www.example.com', 10)
const iad = target('2001:db8::1', 'www.example.com', 10)
const api = target('192.0.2.3', undefined, 40)
const plain: TargetReport = {
  target: { id: 'plain', check: tcpCheck(), address: '192.0.2.4', port: 443, probers: 3 },
  lastRunMs: 1,
  vote: undefined,
  heldDownMs: 0,
}

const probing = (...targets: readonly TargetReport[]): OwnProber => {
  const own = served().probing!
  return { ...own, report: { ...own.report, targets } }
}

test('each is a series, once for an address, port and name: the sooner end of two', async () => {
  const again = target('192.0.2.1', 'www.example.com', 9)
  const text = await renderMetrics(ownProberSamples(probing(again, fra, iad, api, plain)))
  const series = text.split('\n').filter((line) => line.startsWith('meridian_probe_certificate'))
  const end = 'meridian_probe_certificate_end_time_seconds'
  expect(series).toEqual([
    `${end}{address="192.0.2.1",port="443",name="www.example.com"} ${seconds(again)}`,
    `${end}{address="2001:db8::1",port="443",name="www.example.com"} ${seconds(iad)}`,
    `${end}{address="192.0.2.3",port="443",name="192.0.2.3"} ${seconds(api)}`,
    'meridian_probe_certificates_ending 2',
  ])
})

test('those that end soon are troubles in status, one for each certificate', () => {
  const { troubles } = statusOf({ ...served(), probing: probing(fra, iad, api, plain) })
  const date = new Date(fra.certificate!.endMs).toISOString().slice(0, 16)
  expect(troubles).toContain(`the certificate of www.example.com, at 192.0.2.1:443 and 1 more, ends ${date}Z: renew it`)
  expect(troubles.filter((line) => line.includes('certificate'))).toHaveLength(1)
  expect(ownProberStatus(probing(iad, fra, api)).endingCertificates.map(({ address }) => address)).toEqual([
    '2001:db8::1',
    '192.0.2.1',
  ])
  expect(certificateTroubles([plain])).toEqual([])
})

test('a summary, which asks no thread, tells them too', () => {
  const certificates = [fra, iad, api].map(({ target: of, certificate }) => ({ target: of, certificate: certificate! }))
  const state = { ...served(), prober: { ...prober, certificates } }
  const { troubles } = summaryOf(state, [])
  expect(troubles.filter((line) => line.startsWith('the certificate of www.example.com'))).toHaveLength(1)
})

test('many of them are a few lines', () => {
  const many = Array.from({ length: 40 }, (_, i) => target('192.0.2.1', `a${i}.example.com`, i % 12))
  const lines = certificateTroubles(many)
  expect(lines).toHaveLength(6)
  expect(lines.at(-1)).toBe('35 more certificates end soon')
})
