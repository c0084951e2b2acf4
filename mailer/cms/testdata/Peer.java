import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPublicKey;
import java.security.spec.MGF1ParameterSpec;
import java.util.Date;
import java.util.List;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import org.bouncycastle.asn1.ASN1EncodableVector;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.DERSet;
import org.bouncycastle.asn1.cms.Attribute;
import org.bouncycastle.asn1.cms.AttributeTable;
import org.bouncycastle.asn1.cms.CMSAttributes;
import org.bouncycastle.asn1.cms.CMSObjectIdentifiers;
import org.bouncycastle.asn1.cms.ContentInfo;
import org.bouncycastle.asn1.cms.Time;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cms.*;
import org.bouncycastle.cms.jcajce.*;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.OutputAEADEncryptor;
import org.bouncycastle.operator.OutputEncryptor;
import org.bouncycastle.operator.jcajce.JcaAlgorithmParametersConverter;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;

/** Bouncy Castle as a peer: a line on standard input is a job, and its answer a line. Files are in the current folder. */
public class Peer {
    public static void main(String[] args) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        BufferedReader jobs = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = jobs.readLine()) != null; ) {
            try {
                write("out", run(line.split(" ")));
                System.out.println("done");
            } catch (Throwable e) {
                System.out.println(String.valueOf(e).replace('\n', ' '));
            }
        }
    }

    static byte[] run(String[] job) throws Exception {
        switch (job[0]) {
            case "sign": return sign(job);
            case "compress": return new CMSCompressedDataGenerator()
                .generate(new CMSProcessableByteArray(read("in")), new ZlibCompressor()).getEncoded();
            case "verify": return verify();
            case "encrypt": return encrypt(job);
            case "decrypt": return decrypt(job[1]);
            default: throw new Exception("no such job");
        }
    }

    /** sign WHO ALGORITHM [WHO ALGORITHM]...; an algorithm with "-direct" signs without attributes. */
    static byte[] sign(String[] job) throws Exception {
        CMSSignedDataGenerator g = new CMSSignedDataGenerator();
        for (int i = 1; i + 1 < job.length; i += 2) {
            String algorithm = job[i + 1].replace("-direct", "");
            JcaSignerInfoGeneratorBuilder b = new JcaSignerInfoGeneratorBuilder(new JcaDigestCalculatorProviderBuilder().setProvider("BC").build());
            b.setDirectSignature(job[i + 1].endsWith("-direct"));
            g.addSignerInfoGenerator(b.build(new JcaContentSignerBuilder(algorithm).setProvider("BC").build(key(job[i])), certificate(job[i])));
            g.addCertificates(new JcaCertStore(List.of(certificate(job[i]))));
        }
        return g.generate(new CMSProcessableByteArray(read("in")), true).getEncoded();
    }

    static byte[] verify() throws Exception {
        CMSSignedData signed = new CMSSignedData(read("in"));
        if (signed.getSignerInfos().size() == 0) {
            throw new Exception("nobody signed it");
        }
        for (SignerInformation s : signed.getSignerInfos().getSigners()) {
            X509CertificateHolder c = (X509CertificateHolder) signed.getCertificates().getMatches(s.getSID()).iterator().next();
            if (!s.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(c))) {
                throw new Exception("the signature is not valid");
            }
        }
        return (byte[]) signed.getSignedContent().getContent();
    }

    /** encrypt WHO CIPHER KEYS [WRAP [UKM [attributed]]] */
    static byte[] encrypt(String[] job) throws Exception {
        ASN1ObjectIdentifier oid = job[2].contains(".") ? new ASN1ObjectIdentifier(job[2]) : algorithm(job[2]);
        OutputEncryptor encryptor = new JceCMSContentEncryptorBuilder(oid).setProvider("BC").build();
        CMSTypedData content = new CMSProcessableByteArray(read("in"));
        if (encryptor instanceof OutputAEADEncryptor) {
            CMSAuthEnvelopedDataGenerator g = new CMSAuthEnvelopedDataGenerator();
            g.addRecipientInfoGenerator(recipient(job));
            if (job.length > 6) {
                ASN1EncodableVector all = new ASN1EncodableVector();
                all.add(new Attribute(CMSAttributes.signingTime, new DERSet(new Time(new Date(0)))));
                all.add(new Attribute(CMSAttributes.contentType, new DERSet(CMSObjectIdentifiers.data)));
                g.setAuthenticatedAttributeGenerator(new SimpleAttributeTableGenerator(new AttributeTable(all)));
            }
            return g.generate(content, (OutputAEADEncryptor) encryptor).getEncoded();
        }
        CMSEnvelopedDataGenerator g = new CMSEnvelopedDataGenerator();
        g.addRecipientInfoGenerator(recipient(job));
        return g.generate(content, encryptor).getEncoded();
    }

    static ASN1ObjectIdentifier algorithm(String name) throws Exception {
        return (ASN1ObjectIdentifier) CMSAlgorithm.class.getField(name).get(null);
    }

    static RecipientInfoGenerator recipient(String[] job) throws Exception {
        X509Certificate c = certificate(job[1]);
        String keys = job[3];
        if (keys.equals("v15")) {
            return new JceKeyTransRecipientInfoGenerator(c).setProvider("BC");
        }
        if (keys.startsWith("oaep")) { // oaep:SHA-256:SHA-1, the digest and that of the mask
            String[] hashes = keys.split(":");
            return new JceKeyTransRecipientInfoGenerator(c, new JcaAlgorithmParametersConverter().getAlgorithmIdentifier(
                PKCSObjectIdentifiers.id_RSAES_OAEP,
                new OAEPParameterSpec(hashes[1], "MGF1", new MGF1ParameterSpec(hashes[2]), PSource.PSpecified.DEFAULT))).setProvider("BC");
        }
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC", "BC");
        generator.initialize(((ECPublicKey) c.getPublicKey()).getParams());
        KeyPair once = generator.generateKeyPair();
        JceKeyAgreeRecipientInfoGenerator g = new JceKeyAgreeRecipientInfoGenerator(algorithm(keys), once.getPrivate(), once.getPublic(),
            algorithm(job.length > 4 ? job[4] : "AES256_WRAP")).addRecipient(c).setProvider("BC");
        return job.length > 5 && !job[5].equals("none") ? g.setUserKeyingMaterial(job[5].getBytes()) : g;
    }

    static byte[] decrypt(String who) throws Exception {
        byte[] in = read("in");
        boolean authenticated = ContentInfo.getInstance(in).getContentType().equals(CMSObjectIdentifiers.authEnvelopedData);
        RecipientInformationStore all = authenticated
            ? new CMSAuthEnvelopedData(in).getRecipientInfos() : new CMSEnvelopedData(in).getRecipientInfos();
        for (RecipientInformation r : all.getRecipients()) {
            if (!r.getRID().match(holder(who))) {
                continue;
            }
            if (r instanceof KeyAgreeRecipientInformation) {
                return r.getContent(new JceKeyAgreeEnvelopedRecipient(key(who)).setProvider("BC"));
            }
            return authenticated
                ? r.getContent(new JceKeyTransAuthEnvelopedRecipient(key(who)).setProvider("BC"))
                : r.getContent(new JceKeyTransEnvelopedRecipient(key(who)).setProvider("BC"));
        }
        throw new Exception("not for " + who);
    }

    static PrivateKey key(String who) throws Exception {
        return BouncyCastleProvider.getPrivateKey(PrivateKeyInfo.getInstance(read(who + ".key")));
    }

    static X509CertificateHolder holder(String who) throws Exception {
        return new X509CertificateHolder(read(who + ".crt"));
    }

    static X509Certificate certificate(String who) throws Exception {
        return new JcaX509CertificateConverter().setProvider("BC").getCertificate(holder(who));
    }

    static byte[] read(String name) throws Exception {
        return Files.readAllBytes(Path.of(name));
    }

    static void write(String name, byte[] b) throws Exception {
        Files.write(Path.of(name), b);
    }
}
