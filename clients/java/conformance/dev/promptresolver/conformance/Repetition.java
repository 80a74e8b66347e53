package dev.promptresolver.conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.protobuf.InvalidProtocolBufferException;
import dev.promptresolver.PromptResolverClient;
import dev.promptresolver.PromptResolverException;
import dev.promptresolver.v1.PromptInfo;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Supplier;

/** Calls that are made again and again, several at a time, until they have been enough. */
final class Repetition {
  private static final int MAX_ERRORS = 20;

  private final Supplier<PromptInfo> call;
  private final List<Thread> threads = new ArrayList<>();
  private final Map<String, Integer> versions = new TreeMap<>();
  private final JsonArray errors = new JsonArray();
  private int calls;
  private int failed;
  private long slowestNs;
  private volatile boolean ended;

  private Repetition(Supplier<PromptInfo> call) {
    this.call = call;
  }

  static Repetition begin(PromptResolverClient client, Command command)
      throws InvalidProtocolBufferException {
    var repetition = new Repetition(call(client, command));
    for (var i = 0; i < command.number("concurrency").orElse(1); i++) {
      var thread = new Thread(repetition::run);
      thread.setDaemon(true);
      thread.start();
      repetition.threads.add(thread);
    }
    return repetition;
  }

  void end(JsonObject answer) {
    ended = true;
    for (var thread : threads) {
      try {
        thread.join();
      } catch (InterruptedException interrupted) {
        throw new IllegalStateException(interrupted);
      }
    }
    var counts = new JsonObject();
    versions.forEach(counts::addProperty);
    answer.addProperty("calls", calls);
    answer.add("versions", counts);
    answer.add("errors", errors);
    answer.addProperty("failed", failed);
    answer.addProperty("slowest_ms", Duration.ofNanos(slowestNs).toMillis());
  }

  private static Supplier<PromptInfo> call(PromptResolverClient client, Command command)
      throws InvalidProtocolBufferException {
    var options = Requests.options(command);
    if (command.need("method").equals("complete")) {
      var request = Requests.complete(command);
      return () -> client.complete(request, options).getPrompt();
    }
    var request = Requests.resolve(command);
    return () -> client.resolve(request, options).getPrompt();
  }

  private void run() {
    while (!ended) {
      var begunAt = System.nanoTime();
      try {
        var prompt = call.get();
        note(begunAt, () -> versions.merge(prompt.getVersion(), 1, Integer::sum));
      } catch (PromptResolverException failure) {
        note(begunAt, () -> noteFailure(failure));
      }
    }
  }

  private synchronized void note(long begunAt, Runnable outcome) {
    calls++;
    slowestNs = Math.max(slowestNs, System.nanoTime() - begunAt);
    outcome.run();
  }

  private void noteFailure(PromptResolverException failure) {
    failed++;
    if (errors.size() < MAX_ERRORS) {
      errors.add(Errors.tell(failure));
    }
  }
}
