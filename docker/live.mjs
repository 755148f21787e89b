// The health check of the image: GET /live from the process in this container, on its control socket; where that is
// missing (a read-only state folder), on http.listen. Exits with 0 for 200, else with 1 and the reason.
import http from 'node:http'
import https from 'node:https'
import { join } from 'node:path'

const { MERIDIAN_STATE = 'state', MERIDIAN_HTTP_LISTEN = '127.0.0.1:8053', MERIDIAN_HTTP_CERTIFICATE } = process.env
const [scheme, { request }] = MERIDIAN_HTTP_CERTIFICATE ? ['https', https] : ['http', http]
const socketPath = join(MERIDIAN_STATE, 'control.sock')

const ask = (from, ...where) =>
  new Promise((done, failed) => {
    from(...where, (response) => done(response.resume().statusCode))
      .once('error', failed)
      .end()
  })

const options = { path: '/live', agent: false, signal: AbortSignal.timeout(5_000) }
const isMissing = ({ code }) => code === 'ENOENT' || code === 'ECONNREFUSED'
const status = await ask(http.request, { socketPath, ...options })
  .catch((error) =>
    isMissing(error)
      ? ask(request, `${scheme}://${MERIDIAN_HTTP_LISTEN}/live`, { ...options, rejectUnauthorized: false })
      : Promise.reject(error),
  )
  .catch((error) => `no answer on ${socketPath} and ${MERIDIAN_HTTP_LISTEN}: ${error.code ?? error.message}`)
if (status !== 200) console.error(status)
process.exitCode = status === 200 ? 0 : 1
