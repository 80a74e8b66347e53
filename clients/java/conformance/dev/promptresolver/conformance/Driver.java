package dev.promptresolver.conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.Empty;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.MessageOrBuilder;
import com.google.protobuf.util.JsonFormat;
import dev.promptresolver.CallOptions;
import dev.promptresolver.PromptResolverClient;
import dev.promptresolver.PromptResolverException;
import dev.promptresolver.ResponseStream;
import dev.promptresolver.v1.PromptResolverGrpc;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.ProtoUtils;
import io.grpc.stub.ClientCalls;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * Makes the calls that the conformance suite asks for: one JSON command a line on standard input,
 * one JSON answer a line on standard output.
 */
public final class Driver implements AutoCloseable {
  private static final MethodDescriptor<Empty, Empty> NOTHING =
      MethodDescriptor.<Empty, Empty>newBuilder()
          .setType(MethodDescriptor.MethodType.UNARY)
          .setFullMethodName(
              MethodDescriptor.generateFullMethodName(PromptResolverGrpc.SERVICE_NAME, "Nothing"))
          .setRequestMarshaller(ProtoUtils.marshaller(Empty.getDefaultInstance()))
          .setResponseMarshaller(ProtoUtils.marshaller(Empty.getDefaultInstance()))
          .build();

  private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
  private PromptResolverClient client;
  private Repetition repetition;

  public static void main(String[] args) throws IOException {
    var commands =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)).lines();
    var answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    try (var driver = new Driver()) {
      commands.forEach(
          line -> answers.println(driver.answer(new Command(JsonParser.parseString(line)))));
    }
  }

  @Override
  public void close() {
    timer.shutdownNow();
    if (client != null) {
      client.close();
    }
  }

  private JsonObject answer(Command command) {
    var answer = new JsonObject();
    try {
      run(command, answer);
      answer.addProperty("ok", true);
    } catch (RuntimeException | InvalidProtocolBufferException failure) {
      answer.addProperty("ok", false);
      answer.add("error", Errors.tell(failure));
    }
    return answer;
  }

  private void run(Command command, JsonObject answer) throws InvalidProtocolBufferException {
    switch (command.op()) {
      case "connect" -> connect(command);
      case "resolve" -> answer.add("response", resolve(command));
      case "complete" -> answer.add("response", complete(command));
      case "complete_stream" -> completeStream(command, answer);
      case "watch" -> watch(command, answer);
      case "unimplemented" -> callNothing();
      case "repeat" -> repetition = Repetition.begin(client, command);
      case "stop" -> repetition.end(answer);
      default -> throw new IllegalArgumentException("expected an op, got " + command.op());
    }
  }

  private void connect(Command command) {
    if (client != null) {
      client.close();
    }
    var builder = PromptResolverClient.builder();
    command.text("address").ifPresent(builder::address);
    command.text("token").ifPresent(builder::token);
    command.text("token_file").map(Path::of).ifPresent(builder::tokenFile);
    command
        .object("tls")
        .ifPresent(
            tls -> {
              tls.text("ca_file").map(Path::of).ifPresentOrElse(builder::caFile, builder::tls);
              tls.text("server_name").ifPresent(builder::serverName);
              tls.text("cert_file")
                  .map(Path::of)
                  .ifPresent(file -> builder.certificate(file, Path.of(tls.need("key_file"))));
            });
    client = builder.build();
  }

  private JsonObject resolve(Command command) throws InvalidProtocolBufferException {
    var request = Requests.resolve(command);
    var options = Requests.options(command);
    if (command.millis("cancel_after_ms").isEmpty()) {
      return json(client.resolve(request, options));
    }
    return json(await(command, client.resolveAsync(request, options)));
  }

  private JsonObject complete(Command command) throws InvalidProtocolBufferException {
    return json(
        await(
            command, client.completeAsync(Requests.complete(command), Requests.options(command))));
  }

  private void completeStream(Command command, JsonObject answer)
      throws InvalidProtocolBufferException {
    var request = Requests.completeStream(command);
    try (var events = client.completeStream(request, Requests.options(command))) {
      cancelLater(command, events::close);
      var last = command.number("cancel_after_messages").orElse(Integer.MAX_VALUE);
      read(events, last, answer);
    }
  }

  private void watch(Command command, JsonObject answer) throws InvalidProtocolBufferException {
    var timeout = command.millis("timeout_ms");
    var options = timeout.map(CallOptions.DEFAULT::withTimeout).orElse(CallOptions.DEFAULT);
    try (var events = client.watch(Requests.watch(command), options)) {
      var iterator = events.iterator();
      var seen = new JsonArray();
      answer.add("events", seen);
      while (seen.size() < command.number("messages").orElseThrow() && iterator.hasNext()) {
        seen.add(json(iterator.next()));
      }
    }
  }

  /** Reads a stream to its end, and closes it after the last event that is wanted. */
  private static void read(
      ResponseStream<? extends MessageOrBuilder> events, int last, JsonObject answer)
      throws InvalidProtocolBufferException {
    var seen = new JsonArray();
    answer.add("events", seen);
    for (var event : events) {
      seen.add(json(event));
      if (seen.size() == last) {
        events.close();
      }
    }
  }

  private void callNothing() {
    try {
      ClientCalls.blockingUnaryCall(
          client.channel(), NOTHING, io.grpc.CallOptions.DEFAULT, Empty.getDefaultInstance());
    } catch (StatusRuntimeException failure) {
      throw PromptResolverException.of(failure);
    }
  }

  private <T> T await(Command command, CompletableFuture<T> call) {
    cancelLater(command, () -> call.cancel(true));
    try {
      return call.join();
    } catch (CompletionException failure) {
      throw (PromptResolverException) failure.getCause();
    }
  }

  private void cancelLater(Command command, Runnable cancel) {
    command
        .millis("cancel_after_ms")
        .ifPresent(pause -> timer.schedule(cancel, pause.toMillis(), TimeUnit.MILLISECONDS));
  }

  private static JsonObject json(MessageOrBuilder message) throws InvalidProtocolBufferException {
    return JsonParser.parseString(JsonFormat.printer().print(message)).getAsJsonObject();
  }
}
