package dev.promptresolver;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

/** Stands between callers and a server, and cuts their connections when it is told to. */
final class BreakingProxy implements AutoCloseable {
  private final ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
  private final Queue<Socket> callers = new ConcurrentLinkedQueue<>();
  private final int serverPort;

  BreakingProxy(int serverPort) throws IOException {
    this.serverPort = serverPort;
    inBackground(this::listen);
  }

  int getPort() {
    return listener.getLocalPort();
  }

  /** Closes the connections that callers have now. */
  void breakConnections() throws IOException {
    for (var caller = callers.poll(); caller != null; caller = callers.poll()) {
      caller.close();
    }
  }

  @Override
  public void close() throws IOException {
    listener.close();
    breakConnections();
  }

  private void listen() throws IOException {
    while (true) {
      var caller = listener.accept();
      var server = new Socket(InetAddress.getLoopbackAddress(), serverPort);
      callers.add(caller);
      inBackground(() -> copy(caller, server));
      inBackground(() -> copy(server, caller));
    }
  }

  private static void copy(Socket from, Socket to) throws IOException {
    try (from;
        to) {
      from.getInputStream().transferTo(to.getOutputStream());
    }
  }

  private static void inBackground(Connecting work) {
    var thread =
        new Thread(
            () -> {
              try {
                work.run();
              } catch (IOException closed) {
                // One of both ends is gone, and so is what was to be done.
              }
            });
    thread.setDaemon(true);
    thread.start();
  }

  private interface Connecting {
    void run() throws IOException;
  }
}
