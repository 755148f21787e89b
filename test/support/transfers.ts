/** A primary in memory for tests of transfers: builds a folder again and again, and gives the messages of a transfer. */
import { respond } from '../../src/answer/answer.ts'
import { makeRequest, makeResponder, type Responder, TCP, type Transfer, UDP } from '../../src/answer/responder.ts'
import { makeCounters } from '../../src/counters.ts'
import { parseAddress } from '../../src/dns/address.ts'
import { decodeMessage, encodeQuery, formatRr, type Message } from '../../src/dns/message.ts'
import { isFault, parseName } from '../../src/dns/name.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import { makeBuilder } from '../../src/world/build.ts'
import { madeOf } from './build.ts'
import { emptyFolder, writeZones } from './folder.ts'

export const SECONDARY = '192.0.2.53'

export interface Asked {
  readonly zone?: string
  readonly type?: 'AXFR' | 'IXFR'
  /** Of IXFR: the serial in its SOA. */
  readonly serial?: number
  readonly from?: string
  readonly over?: 'udp' | 'tcp'
  readonly edns?: boolean
}

/** What came back: one message over UDP, or where there is no transfer. */
export interface Taken {
  readonly messages: readonly Message[]
  readonly wires: readonly Uint8Array[]
  /** All answers as text. */
  readonly records: readonly string[]
}

/** A query for a transfer. */
export function transferQuery({ zone = 'example.com', type = 'AXFR', serial, edns = false }: Asked): Uint8Array {
  const query = encodeQuery({ name: zone, type, id: 0x1234, ...(edns && { edns: {} }) })
  if (serial === undefined) return query
  const name = parseName(zone)
  if (isFault(name)) throw new Error(name.fault)
  const soa = Buffer.concat([name, Buffer.from('00060001000000000016', 'hex'), Buffer.alloc(22)])
  soa.writeUInt32BE(serial, soa.length - 20)
  const at = 12 + name.length + 4
  const whole = Buffer.concat([query.subarray(0, at), soa, query.subarray(at)])
  whole[9] = 1
  return new Uint8Array(whole)
}

/** What these messages say. Throws if one is none. */
export function takenFrom(wires: readonly Uint8Array[]): Taken {
  const messages = wires.map((wire) => {
    const message = decodeMessage(wire)
    if (isFault(message)) throw new Error(message.fault)
    return message
  })
  return { wires, messages, records: messages.flatMap(({ answer }) => answer.map(formatRr)) }
}

/** Files by path, the texts of a folder of zones. */
export type Files = Readonly<Record<string, string>>

export class Primary {
  readonly responder: Responder
  readonly #build: (files: Files) => Promise<Responder['world']>

  private constructor(build: (files: Files) => Promise<Responder['world']>, world: Responder['world']) {
    this.#build = build
    this.responder = makeResponder(world, makeHealthTable(), makeCounters())
  }

  static async start(files: Files): Promise<Primary> {
    const folder = emptyFolder()
    const builder = makeBuilder({ zones: folder, city: [] })
    const build = async (next: Files): Promise<Responder['world']> => {
      writeZones(next, folder)
      return madeOf(await builder.build()).world
    }
    return new Primary(build, await build(files))
  }

  /** Writes files, beside those that are there, and serves what they say. */
  async load(files: Files): Promise<void> {
    this.responder.world = await this.#build(files)
  }

  /** Sends a query and takes the whole response. */
  send(query: Uint8Array, { from = SECONDARY, over = 'tcp' }: Asked = {}): Taken {
    const { responder } = this
    const client = parseAddress(from)!
    const output = new Uint8Array(70_000)
    const [transport, family] = [over === 'udp' ? UDP : TCP, client.length === 4 ? 4 : 6] as const
    responder.transfersLeft = over === 'udp' ? 0 : 1
    const request = makeRequest({
      input: query,
      client,
      family,
      transport,
      output,
      room: over === 'udp' ? 1500 : 65_535,
    })
    const size = respond(responder, request)
    const { transfer } = responder
    responder.transfer = null
    const wires = transfer === null ? [output.slice(0, size)] : drain(transfer, output.slice(0, size), responder)
    return takenFrom(wires)
  }

  take(asked: Asked = {}): Taken {
    return this.send(transferQuery(asked), asked)
  }
}

/** All messages of the transfer that answers the responder's last query; `response`: the response without records. */
export function drain(transfer: Transfer, response: Uint8Array, { query }: Responder): readonly Uint8Array[] {
  const wires: Uint8Array[] = []
  transfer.begin(response, query.questionEnd)
  const output = new Uint8Array(70_000)
  for (let size = transfer.next(output, 7); size > 0; size = transfer.next(output, 7))
    wires.push(output.slice(7, 7 + size))
  return wires
}
