/**
 * external-dns's endpoints: what a cluster wants to have in DNS. Their JSON is that of `endpoint.Endpoint` and `plan.Changes`
 * of external-dns, as its webhook providers get it.
 */
import { formatName, isFault, lowerName, parseName } from '../dns/name.ts'
import { isRecord } from '../state.ts'

/** A record set of one name and type, and of one set identifier if it is chosen among others. */
export interface Endpoint {
  /** A whole name, without its last dot. */
  readonly dnsName: string
  readonly targets: readonly string[]
  readonly recordType: string
  /** Tells it from others of the name and type; '' = it is alone. */
  readonly setIdentifier?: string
  /** Seconds; 0 = not said. */
  readonly recordTTL?: number
  readonly labels?: Readonly<Record<string, string>>
  readonly providerSpecific?: readonly Property[]
}

/** What only some providers know. */
export interface Property {
  readonly name: string
  readonly value?: string
}

/** Changes of a cluster's records. */
export interface Changes {
  readonly create: readonly Endpoint[]
  readonly updateOld: readonly Endpoint[]
  readonly updateNew: readonly Endpoint[]
  readonly delete: readonly Endpoint[]
}

/** What tells an endpoint from all others of a cluster. */
export const keyOfEndpoint = ({ dnsName, recordType, setIdentifier = '' }: Endpoint): string =>
  `${plainName(dnsName)} ${recordType} ${setIdentifier}`

/** A name as all its spellings have it: in lower case, without needless escapes and its last dot. */
function plainName(name: string): string {
  const wire = wireOf(name)
  return (wire === undefined ? name.toLowerCase() : formatName(wire)).replace(/\.$/, '')
}

/** A whole name in wire form and lower case, with or without its last dot; undefined: it is none. */
export function wireOf(name: string): Uint8Array | undefined {
  const wire = parseName(name.endsWith('.') ? name : `${name}.`)
  return isFault(wire) ? undefined : lowerName(wire)
}

/** An endpoint as it is kept: external-dns keeps labels itself, in TXT records. */
export function unlabelled(endpoint: Endpoint): Endpoint {
  const { labels, ...rest } = endpoint
  return labels === undefined ? endpoint : rest
}

/** The value of a property, of this provider or of AWS's, whose annotations say the same. */
export const propertyOf = ({ providerSpecific = [] }: Endpoint, name: string): string | undefined =>
  providerSpecific.find((one) => one.name === `webhook/${name}`)?.value ??
  providerSpecific.find((one) => one.name === `aws/${name}`)?.value

/** The most endpoints of a cluster. */
const MOST = 200_000
const MOST_TARGETS = 1000

/** Reads a list of endpoints; null is an empty one. Undefined if it is none. */
export function readEndpoints(value: unknown): readonly Endpoint[] | undefined {
  if (value === null || value === undefined) return []
  if (!Array.isArray(value) || value.length > MOST) return undefined
  const endpoints = value.map(readEndpoint)
  return endpoints.every((one) => one !== undefined) ? endpoints : undefined
}

/** Reads changes, whose keys older versions of external-dns write with a capital letter. Undefined if they are none. */
export function readChanges(value: unknown): Changes | undefined {
  if (!isRecord(value)) return undefined
  const keys = new Map(Object.entries(value).map(([key, list]) => [key.toLowerCase(), list]))
  const [create, updateOld, updateNew, gone] = ['create', 'updateold', 'updatenew', 'delete'].map((key) =>
    readEndpoints(keys.get(key)),
  )
  if (create === undefined || updateOld === undefined || updateNew === undefined || gone === undefined) return undefined
  return { create, updateOld, updateNew, delete: gone }
}

const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= 65_535
const isTextOrNone = (value: unknown): value is string | undefined => value === undefined || isText(value)

function readEndpoint(value: unknown): Endpoint | undefined {
  if (!isRecord(value)) return undefined
  const { dnsName, targets, recordType, setIdentifier, recordTTL, labels, providerSpecific } = value
  if (!isText(dnsName) || !isText(recordType) || !isTextOrNone(setIdentifier)) return undefined
  if (recordTTL !== undefined && !(Number.isSafeInteger(recordTTL) && Number(recordTTL) >= 0)) return undefined
  const list: readonly unknown[] = Array.isArray(targets) ? targets : []
  if (!list.every(isText) || list.length > MOST_TARGETS) return undefined
  const properties: readonly unknown[] = Array.isArray(providerSpecific) ? providerSpecific : []
  if (!properties.every(isProperty)) return undefined
  const said: Record<string, string> = {}
  for (const [key, label] of Object.entries(isRecord(labels) ? labels : {})) {
    if (!isText(label)) return undefined
    said[key] = label
  }
  return {
    dnsName,
    targets: list,
    recordType,
    ...(setIdentifier !== undefined && { setIdentifier }),
    ...(recordTTL !== undefined && { recordTTL: Number(recordTTL) }),
    ...(isRecord(labels) && { labels: said }),
    ...(properties.length > 0 && {
      providerSpecific: properties.map(({ name, value: one }) => ({ name, ...(one !== undefined && { value: one }) })),
    }),
  }
}

const isProperty = (value: unknown): value is Property =>
  isRecord(value) && isText(value['name']) && isTextOrNone(value['value'])
