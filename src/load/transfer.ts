/**
 * `transfer` in defaults.yaml, of all zones or of one: who may take copies of a zone, and who is told of a new serial.
 * Called by defaults.ts.
 */
import { parseAddress, parsePrefix, type Prefix } from '../dns/address.ts'
import { isFault, lowerName, parseName } from '../dns/name.ts'
import { type Endpoint, parseEndpoint } from '../units.ts'
import type { Reader } from '../yaml/read.ts'
import type { Entry, Node, Scalar } from '../yaml/source.ts'
import type { TransferModel } from '../zone/pack.ts'
import { readKeys } from './forms.ts'
import { STEERED_COPY, steeredCopy, TRANSFER } from './keys.ts'
import { prefixFault } from './subnets.ts'

/** Transfers as they are written, and where the site of the copies' steered names is, which is checked later. */
export interface WrittenTransfer {
  readonly transfer: TransferModel
  readonly site: Scalar | undefined
}

/** Reads `transfer`; undefined: nobody may take copies, or it has a fault. */
export function readTransfer(read: Reader, { value }: Entry): WrittenTransfer | undefined {
  const { errors } = read
  const { fields, values } = readKeys(read, value, '“transfer”', TRANSFER)
  if (fields === undefined) return undefined
  const name = values.key === undefined ? undefined : parseName(values.key)
  if (name !== undefined && isFault(name)) read.fault('value-invalid', fields.get('key')!.value, name.fault, KEY)
  const { steered, site } = readSteered(read, values.steered)
  const transfer: TransferModel = {
    allow: values.allow === undefined ? [] : readNetworks(read, values.allow),
    ...(name !== undefined && !isFault(name) && { key: lowerName(name), keyAt: read.at(fields.get('key')!.value) }),
    notify: values.notify === undefined ? [] : readServers(read, values.notify),
    steered,
    at: read.at(value),
  }
  if (values.allow === undefined && values.key === undefined) {
    const hint = 'Name networks, a key of tsig.keys, or both: {allow: [192.0.2.53], key: xfr}'
    read.fault('key-missing', value, '“transfer” says neither allow nor key: nobody could take a copy', hint)
  }
  return read.errors > errors ? undefined : { transfer, site }
}

function readNetworks(read: Reader, { value }: Entry): readonly Prefix[] {
  return read.filledItems(value, '“allow”', ALLOW).flatMap((node) => {
    const text = read.scalar(node, 'a network', ALLOW)?.text
    const prefix = text === undefined ? undefined : parsePrefix(text)
    if (text !== undefined && prefix === undefined) read.fault('value-invalid', node, ...prefixFault(text))
    return prefix ?? []
  })
}

function readServers(read: Reader, { value }: Entry): readonly Endpoint[] {
  return read.filledItems(value, '“notify”', NOTIFY).flatMap((node) => {
    const text = read.scalar(node, 'a secondary', NOTIFY)?.text
    if (text === undefined) return []
    const server = parseAddress(text) === undefined ? parseEndpoint(text) : { address: text, port: DNS_PORT }
    if (server === undefined) read.fault('value-invalid', node, `“${text}” is no address of a server`, NOTIFY)
    return server ?? []
  })
}

function readSteered(
  read: Reader,
  entry: Entry | undefined,
): { readonly steered: TransferModel['steered']; readonly site?: Scalar } {
  if (entry?.value.kind !== 'mapping') return { steered: (entry && steeredCopy.read(read, entry)) ?? 'last-resort' }
  const { values } = readKeys(read, entry.value, '“steered”', STEERED_COPY)
  const site: Node | undefined = values.site?.value
  const text = site && read.scalar(site, 'a site', SITE)
  return text === undefined ? { steered: 'last-resort' } : { steered: { site: text.text }, site: text }
}

const DNS_PORT = 53
const ALLOW = 'allow: [192.0.2.53, "2001:db8::/64"]'
const NOTIFY = 'notify: [192.0.2.53, "192.0.2.54:5353", "[2001:db8::53]:53"]'
const KEY = 'The name of a key in the setting tsig.keys: xfr.example.com'
const SITE = 'steered: {site: fra}'
