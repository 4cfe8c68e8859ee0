//! A socket as the session's driver sees it, plain or TLS, with its place among the listener's connections.
//!
//! Made by the listener, carried through the HTTP upgrade, read and written by the driver. The readiness calls work alike
//! for both kinds, so that an idle session waits without holding a buffer.

use std::io::{self, IoSlice, Read};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::admission::Permit;
use crate::hub::Sink;

/// An open socket. Dropping it closes the socket and frees its place.
#[derive(Debug)]
pub struct Stream {
    io: Io,
    _permit: Permit,
}

/// What the bytes travel on. TLS state is large, so it is boxed.
#[derive(Debug)]
pub enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn new(io: Io, permit: Permit) -> Self {
        Self { io, _permit: permit }
    }

    /// The kind of transport, for callers that treat plain sockets on a shorter way (`TcpStream` takes `&self` everywhere).
    pub fn io(&self) -> &Io {
        &self.io
    }

    /// Ready when [`try_read`](Self::try_read) is worth a call; false alarms happen. One task at a time may wait.
    ///
    /// # Errors
    /// What the operating system reports for the socket.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.io {
            Io::Plain(tcp) => tcp.poll_read_ready(context),
            Io::Tls(tls) => {
                let (tcp, state) = tls.get_ref();
                // Decrypted bytes may wait inside while the socket itself has nothing more to say.
                if state.wants_read() { tcp.poll_read_ready(context) } else { Poll::Ready(Ok(())) }
            }
        }
    }

    /// Ready when writing or flushing is worth a call; false alarms happen. One task at a time may wait.
    ///
    /// # Errors
    /// What the operating system reports for the socket.
    pub fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_write_ready(context)
    }

    /// The socket itself, under whatever encryption.
    pub fn tcp(&self) -> &TcpStream {
        match &self.io {
            Io::Plain(tcp) => tcp,
            Io::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Reads what is there; 0 is the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing yet, `UnexpectedEof` when TLS was cut off without its closing alert.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.io {
            Io::Plain(tcp) => read_plain(tcp, buffer),
            Io::Tls(tls) => {
                let mut buffer = ReadBuf::new(buffer);
                ready(Pin::new(tls).poll_read(&mut unwoken(), &mut buffer))?;
                Ok(buffer.filled().len())
            }
        }
    }

    /// Writes as much as fits. Over TLS some of it may wait inside: follow up with [`try_flush`](Self::try_flush).
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.io {
            Io::Plain(tcp) => tcp.try_write(bytes),
            Io::Tls(tls) => ready(Pin::new(tls).poll_write(&mut unwoken(), bytes)),
        }
    }

    /// As [`try_write`](Self::try_write), from several buffers at one stroke.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits.
    pub fn try_write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.io {
            Io::Plain(tcp) => tcp.try_write_vectored(buffers),
            Io::Tls(tls) => ready(Pin::new(tls).poll_write_vectored(&mut unwoken(), buffers)),
        }
    }

    /// Moves on what TLS has encrypted but the socket has not taken. Always done at once on plain sockets.
    ///
    /// # Errors
    /// `WouldBlock` while something still waits: call again when [`writable`](Self::writable).
    pub fn try_flush(&mut self) -> io::Result<()> {
        match &mut self.io {
            Io::Plain(_) => Ok(()),
            Io::Tls(tls) => ready(Pin::new(tls).poll_flush(&mut unwoken())),
        }
    }
}

impl Sink for Stream {
    /// Goes straight to the socket, past the runtime's note of whether it takes anything: with thousands of sessions that note is one more
    /// look at cold memory. When nothing fits, the session's own task tries once more through the runtime, which then notes it.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.io {
            Io::Plain(tcp) => SockRef::from(tcp).send(bytes),
            Io::Tls(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// Reads from a plain socket. A read that does not fill the buffer has emptied it (epoll(7), on edge-triggered notification), and telling
/// the runtime so saves the read that would find nothing.
///
/// # Errors
/// As [`Stream::try_read`].
pub fn read_plain(tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut emptied = None;
    let outcome = tcp.try_io(Interest::READABLE, || {
        let count = (&*SockRef::from(tcp)).read(buffer)?;
        if count == 0 || count == buffer.len() {
            return Ok(count);
        }
        emptied = Some(count);
        Err(io::ErrorKind::WouldBlock.into())
    });
    emptied.map_or(outcome, Ok)
}

/// Whoever calls waits by `poll_readable` or `poll_writable`, so the poll itself need wake nobody.
fn unwoken() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn ready<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// A stream of which something was read already, for whoever reads it from its beginning.
#[derive(Debug)]
pub struct Rewound {
    early: Bytes,
    stream: Stream,
}

impl Rewound {
    pub fn new(stream: Stream, early: Bytes) -> Self {
        Self { early, stream }
    }

    /// The stream, and what of its beginning nobody has read.
    pub fn into_parts(self) -> (Stream, Bytes) {
        (self.stream, self.early)
    }
}

impl AsyncRead for Rewound {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = self.early.len().min(buffer.remaining());
        buffer.put_slice(&self.early.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffers: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Io::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Io::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffers: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, buffers),
            Io::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Io::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Io::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_small_enough_to_sit_in_every_connection() {
        assert!(size_of::<Stream>() <= 72, "{}", size_of::<Stream>());
    }
}
