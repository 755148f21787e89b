/** Mails to a real SMTP server. */
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { SMTPServer } from 'smtp-server'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Message } from '../../../src/events/notify/message.ts'
import { send } from '../../../src/events/notify/send.ts'
import { authority, good } from '../../support/certificates.ts'
import { eventsOf, portOf, receiversOf } from './receiver.ts'

const defaults = getCACertificates('default')
beforeAll(() => setDefaultCACertificates([...defaults, authority]))
afterAll(() => setDefaultCACertificates(defaults))

const event = eventsOf('n1')({ why: 'connection refused\r\nBcc: everyone@example.net' })
const item = { event, problem: 'verdict fra', direction: 'problem', was: 'warning' } as const
const message: Message = {
  id: event.id,
  problem: 'verdict fra',
  direction: 'problem',
  node: 'n1',
  atMs: 1,
  items: [item],
  open: 1,
}

interface Mail {
  readonly from: string
  readonly to: readonly string[]
  readonly text: string
  readonly user: string | undefined
  readonly secure: boolean
}

let server: SMTPServer | undefined
afterEach(async () => {
  await new Promise<void>((resolve) => server!.close(resolve))
})

/** Starts a server; the mails that it takes. */
async function serve(
  options: ConstructorParameters<typeof SMTPServer>[0] = {},
): Promise<{ mails: Mail[]; host: string }> {
  const mails: Mail[] = []
  server = new SMTPServer({
    ...good,
    authOptional: true,
    disableReverseLookup: true,
    onAuth: ({ username, password }, _session, done) =>
      password === 'pass word' ? done(null, { user: username ?? '' }) : done(new Error('bad login pass word')),
    onData: (stream, session, done) => {
      const { mailFrom, rcptTo } = session.envelope
      void text(stream).then((body) => {
        const from = mailFrom === false ? '' : mailFrom.address
        const to = rcptTo.map(({ address }) => address)
        mails.push({ from, to, text: body, user: session.user, secure: session.secure })
        done()
      })
    },
    ...options,
  })
  server.on('error', () => {})
  const listening = server.listen(0, '127.77.1.1')
  await once(listening, 'listening')
  return { mails, host: `127.77.1.1:${portOf(listening)}` }
}

const mailTo = (url: string) =>
  receiversOf({
    'm.type': 'mail',
    'm.url': url,
    'm.from': 'meridian@example.com',
    'm.to': ['ann@example.com', 'bob@example.com'],
  })['m']!

test('a mail over TLS, with a login: to all, under the id of its message', async () => {
  const { mails, host } = await serve()
  expect(await send(mailTo(`smtp://op:pass%20word@${host}`), message, 2)).toEqual({ sent: true })
  const mail = mails[0]!
  expect(mail).toMatchObject({
    from: 'meridian@example.com',
    to: ['ann@example.com', 'bob@example.com'],
    user: 'op',
    secure: true,
  })
  const [head = '', body = ''] = mail.text.split(/\r?\n\r?\n([^]*)/)
  expect(head).toContain(`Message-ID: <${event.id}@example.com>`)
  expect(head.toLowerCase()).toContain(`x-meridian-id: ${event.id}`)
  expect(head).not.toMatch(/^bcc:/im)
  expect(body).toContain('2 earlier messages were dropped')
})

test('over TLS from the first byte', async () => {
  const { mails, host } = await serve({ secure: true })
  expect(await send(mailTo(`smtps://${host}`), message, 0)).toEqual({ sent: true })
  expect(mails).toMatchObject([{ secure: true }])
})

test('a login is never sent in the clear', async () => {
  const { mails, host } = await serve({ disabledCommands: ['STARTTLS'], allowInsecureAuth: true })
  expect(await send(mailTo(`smtp://op:pass%20word@${host}`), message, 0)).toMatchObject({ sent: false, isFinal: false })
  expect(mails).toEqual([])
})

test('a wrong login is told without it, and a certificate is verified', async () => {
  const { host } = await serve()
  const wrong = await send(mailTo(`smtp://op:wrong-one@${host}`), message, 0)
  expect(wrong).toMatchObject({ sent: false, isFinal: false, why: expect.stringMatching(/^127\.77\.1\.1: /) })
  expect(JSON.stringify(wrong)).not.toContain('wrong-one')
  setDefaultCACertificates(defaults)
  expect(await send(mailTo(`smtp://${host}`), message, 0)).toMatchObject({ sent: false })
  setDefaultCACertificates([...defaults, authority])
})
